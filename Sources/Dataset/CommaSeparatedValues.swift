// Parses comma-separated text into records of fields, each with its first line. The meaning of fields is not known here.
import Foundation

/// The records of a CSV file: RFC 4180 quoting, LF, CRLF or CR line ends, an optional byte-order mark, UTF-8.
/// Blank lines are skipped, and spaces around an unquoted field are trimmed.
///
/// **Source:** RFC 4180.
struct CommaSeparatedValues {
  struct Record: Equatable {
    /// Counted from 1.
    let line: Int
    let fields: [String]
  }

  private(set) var records: [Record] = []

  private enum Position { case fieldStart, unquoted, quoted, afterQuote }

  private let name: String
  private var position = Position.fieldStart
  private var field: [UInt8] = []
  private var fields: [String] = []
  private var line = 1
  private var recordLine = 1

  /// - Parameter name: what errors call the file.
  /// - Throws: `DatasetError` naming file and line if a quote is never closed, text follows a closing quote, or bytes are
  ///   not UTF-8.
  init(parsing data: Data, name: String) throws(DatasetError) {
    self.name = name
    let bytes = Array(data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data)
    var i = 0
    while i < bytes.count {
      let byte = bytes[i]
      i += 1
      if position == .quoted {
        if byte != UInt8(ascii: "\"") {
          if byte == UInt8(ascii: "\n") { line += 1 }
          field.append(byte)
        } else if i < bytes.count, bytes[i] == UInt8(ascii: "\"") {
          field.append(byte)
          i += 1
        } else {
          position = .afterQuote
        }
        continue
      }
      switch byte {
      case UInt8(ascii: ","): try endField()
      case UInt8(ascii: "\n"): try endRecord()
      case UInt8(ascii: "\r"):
        if i < bytes.count, bytes[i] == UInt8(ascii: "\n") { i += 1 }
        try endRecord()
      case UInt8(ascii: " "), UInt8(ascii: "\t"):
        if position == .unquoted { field.append(byte) }
      case UInt8(ascii: "\"") where position == .fieldStart: position = .quoted
      default:
        if position == .afterQuote {
          throw .badData(name, line: line, "text follows a closing quote; double the quotes inside a quoted field")
        }
        position = .unquoted
        field.append(byte)
      }
    }
    if position == .quoted { throw .badData(name, line: recordLine, "a quote is opened and never closed") }
    if !(fields.isEmpty && field.isEmpty && position == .fieldStart) { try endRecord() }
  }

  private mutating func endField() throws(DatasetError) {
    if position == .unquoted {
      while field.last == UInt8(ascii: " ") || field.last == UInt8(ascii: "\t") { field.removeLast() }
    }
    guard let text = String(validating: field, as: UTF8.self) else {
      throw .badData(name, line: line, "not UTF-8; convert the file, e.g. with iconv")
    }
    fields.append(text)
    field.removeAll(keepingCapacity: true)
    position = .fieldStart
  }

  private mutating func endRecord() throws(DatasetError) {
    let blank = fields.isEmpty && field.isEmpty && position == .fieldStart
    if !blank {
      try endField()
      records.append(Record(line: recordLine, fields: fields))
      fields.removeAll(keepingCapacity: true)
    }
    line += 1
    recordLine = line
  }
}
