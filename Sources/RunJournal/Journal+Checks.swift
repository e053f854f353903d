// The checks that opening a journal makes. `JournalAudit` makes the thorough ones.
import Foundation
import GRDB
import Shared

extension Journal {
  /// Checks SQLite's own integrity, the layout's version, the chain, and the newest checkpoint.
  func check(_ access: Access) throws {
    // Not quick_check, which does not compare the rows with the indexes that find steps.
    let found = try read("checking the journal") { try String.fetchAll($0, sql: "PRAGMA integrity_check(1)") }
    guard found == ["ok"] else { throw JournalError.damaged(path, "is damaged: \(found.joined(separator: "; "))") }
    let version = try read("checking the journal") { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
    guard version <= Schema.version else {
      throw JournalError(
        .badData, path, "has layout \(version), and this program knows \(Schema.version); use a newer Tamring")
    }
    // A coordinator that was killed while it created the journal leaves only the migrator's table.
    let isBegun = try access == .create || version > 0 || tables() == ["grdb_migrations"]
    guard isBegun else { throw JournalError.damaged(path, "is not a run's journal") }
    if access != .reading {
      try migrate()
      let reached = try read("checking the journal") { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
      guard reached == Schema.version else { throw JournalError.damaged(path, "says that its layout is \(reached)") }
    } else if version < Schema.version {
      throw JournalError(.badData, path, "has the older layout \(version); resume the run once to update it")
    }
    try checkLayout()
    try checkValues()
    try checkChain()
  }

  private func tables() throws -> [String] {
    try read("reading the layout") {
      try String.fetchAll($0, sql: "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    }
  }

  /// Every number is within its column's bounds. The rows of the ledger, by far the most, are read only by audits,
  /// which check them.
  private func checkValues() throws {
    for table in try tables() where table != "consumed" {
      let problems = try read("checking the values") { try ColumnBounds.problems(table, $0) }
      if let first = problems.first { throw JournalError.damaged(path, "holds what cannot be: \(first)") }
    }
  }

  /// The tables, indexes and constraints are those that this program makes; otherwise queries would mean something
  /// else.
  private func checkLayout() throws {
    func layout(_ database: Database) throws -> [String] {
      try String.fetchAll(
        database,
        sql: """
          SELECT type || ' ' || name || ' ' || tbl_name || ' ' || ifnull(sql, '') FROM sqlite_schema
          WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name
          """)
    }
    let expected = try Self.reporting("making an empty journal", path) {
      let empty = try DatabaseQueue()
      try Schema.migrator.migrate(empty)
      return try empty.read(layout)
    }
    guard try read("reading the layout", layout) == expected else {
      throw JournalError.damaged(path, "its tables are not those of layout \(Schema.version)")
    }
  }

  /// The chain over all commits is intact, and no step is missing up to the last one and the newest checkpoint.
  private func checkChain() throws {
    try read("checking the chain") { database in
      var previous = ""
      var live = 0
      let rows = try Row.fetchCursor(database, sql: "SELECT * FROM steps ORDER BY id")
      while let row = try rows.next() {
        let step = try StepRecord(row: row)
        guard step.chain == step.chain(after: previous) else {
          throw JournalError.damaged(path, "the row of step \(step.step) is not the one that was written")
        }
        previous = step.chain
        guard try !row.decode(Bool.self, forColumn: "rolled_back") else { continue }
        guard step.step == live else { throw JournalError.damaged(path, "step \(live) is missing before \(step.step)") }
        live += 1
      }
      let newest = try Int.fetchOne(database, sql: "SELECT max(step) FROM checkpoints WHERE removed_at IS NULL") ?? 0
      guard newest <= live else {
        throw JournalError.damaged(path, "it ends after \(live) steps, but knows a checkpoint of \(newest)")
      }
    }
  }

  /// Compares the journal with a witness. A journal that was replaced by an older copy lacks steps.
  /// - Parameters:
  ///   - steps: how many steps a checkpoint on disk contains, or a worker was told are durable.
  ///   - witness: that checkpoint or worker, for the error.
  /// - Throws: `JournalError` if the journal holds fewer.
  public func requireSteps(_ steps: Int, witness: String) throws {
    // Rolled-back steps count, since the witness may have been away at that time.
    let held = try stepsHeld()
    guard steps <= held else {
      throw JournalError.damaged(path, "it ends after \(held) steps, but \(witness) has \(steps)")
    }
  }

  /// How many steps the journal has ever held, including those that were rolled back.
  public func stepsHeld() throws -> Int {
    try read("reading the steps") { try Int.fetchOne($0, sql: "SELECT max(step) + 1 FROM steps") ?? 0 }
  }
}
