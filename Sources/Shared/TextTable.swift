// Rows of text in columns, for a state that a person reads.

/// A table of which each column is as wide as its longest entry.
public struct TextTable: CustomStringConvertible {
  private var rows: [[String]]

  public init(_ rows: [[String]]) { self.rows = rows }

  public var description: String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (entry, width) in zip(row, widths) where !entry.isEmpty || width > 0 {
        line += entry + String(repeating: " ", count: width - entry.count + 2)
      }
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
