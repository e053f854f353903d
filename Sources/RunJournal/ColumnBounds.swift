// The values that the columns of run.db may hold. SQLite stores any value in any column, so every row is checked before
// it is used.
import GRDB

/// The values that a column may have. Code that reads a row relies on these bounds to convert its numbers without a
/// trap.
enum ColumnBounds {
  /// Columns that may be empty.
  private static let optional: Set<String> = [
    "ended_at", "left_at", "loss_sum", "mean_precision", "pairs_digest", "reason", "removed_at",
  ]
  private static let kinds = ["INTEGER": "integer", "INT": "integer", "REAL": "real", "TEXT": "text"]
  private static let counts = Set(
    "attempt clip clips epoch generation gradient_bits lane lanes number pid top1 top5".split(separator: " "))

  /// The whole numbers that a column may hold. `cluster/audit.py` has the same bounds.
  static func range(_ table: String, _ column: String) -> ClosedRange<Int> {
    switch (table, column) {
    case ("runs", "clips"), ("runs", "steps_per_epoch"), ("runs", "epochs"): 1...Int(Int32.max)
    case ("steps", "attempt"): 0...Int(UInt8.max)
    case ("evaluations", "loss_sum"): 0...Int.max
    case ("evaluations", "mean_precision"): 0...(1 << 32)
    case (_, "rolled_back"), (_, "verified"): 0...1
    case (_, "rank"), (_, "reporter"), (_, "threads"): 0...Int(UInt16.max)
    case _ where counts.contains(column[...]): 0...Int(Int32.max)
    // Steps, bytes, row numbers: the sum of a few of them still fits.
    default: 0...(1 << 53)
    }
  }

  /// For each column of `table` that has impossible values, how many.
  static func problems(_ table: String, _ database: Database) throws -> [String] {
    let columns = try Row.fetchAll(database, sql: "SELECT name, type FROM pragma_table_info('\(table)')")
      .map { (name: $0["name"] as String, kind: kinds[$0["type"]] ?? "null") }
    let tests = columns.map { name, kind in
      let type = "typeof(\"\(name)\")"
      return switch kind {
      case "integer":
        (optional.contains(name) ? "\(type) <> 'null' AND (" : "(")
          + "\(type) <> 'integer' OR \"\(name)\" NOT BETWEEN \(range(table, name).lowerBound) "
          + "AND \(range(table, name).upperBound))"
      case "real": "\(type) <> 'real' OR abs(\"\(name)\") > 1e308"
      default: "\(type) NOT IN ('\(kind)', '\(optional.contains(name) ? "null" : kind)')"
      }
    }
    guard !tests.isEmpty else { return [] }
    let sums = tests.map { "total(\($0))" }.joined(separator: ", ")
    guard let wrong = try Row.fetchOne(database, sql: "SELECT \(sums) FROM \"\(table)\"") else { return [] }
    return columns.enumerated().compactMap { number, column in
      guard let count = Int(exactly: wrong[number] as Double), count > 0 else { return nil }
      let expected =
        switch column.kind {
        case "integer":
          "whole numbers from \(range(table, column.name).lowerBound) to \(range(table, column.name).upperBound)"
        case "real": "finite numbers"
        default: column.kind
        }
      return "\(count) values of \(table).\(column.name) are not \(expected)"
    }
  }
}
