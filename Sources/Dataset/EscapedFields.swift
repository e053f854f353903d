// Lines of tab-separated fields, the text form of the index and of the rejected list.
import Foundation

/// Appends one line of `fields`; tabs, line ends and backslashes inside them become `\t`, `\n`, `\r`, `\\`.
func appendEscapedLine(_ fields: [String], to line: inout [UInt8]) {
  for (number, field) in fields.enumerated() {
    if number > 0 { line.append(UInt8(ascii: "\t")) }
    for byte in field.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): line.append(contentsOf: [byte, byte])
      case UInt8(ascii: "\t"): line.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "t")])
      case UInt8(ascii: "\n"): line.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
      case UInt8(ascii: "\r"): line.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "r")])
      default: line.append(byte)
      }
    }
  }
  line.append(UInt8(ascii: "\n"))
}

/// The fields of a line that `appendEscapedLine` wrote, without its end; nil if an escape is none of its own, or it is
/// not UTF-8.
func unescapedFields(_ line: some Collection<UInt8>) -> [String]? {
  var fields: [[UInt8]] = [[]]
  var isEscaped = false
  for byte in line {
    if isEscaped {
      switch byte {
      case UInt8(ascii: "\\"): fields[fields.count - 1].append(byte)
      case UInt8(ascii: "t"): fields[fields.count - 1].append(UInt8(ascii: "\t"))
      case UInt8(ascii: "n"): fields[fields.count - 1].append(UInt8(ascii: "\n"))
      case UInt8(ascii: "r"): fields[fields.count - 1].append(UInt8(ascii: "\r"))
      default: return nil
      }
      isEscaped = false
    } else if byte == UInt8(ascii: "\\") {
      isEscaped = true
    } else if byte == UInt8(ascii: "\t") {
      fields.append([])
    } else {
      fields[fields.count - 1].append(byte)
    }
  }
  if isEscaped { return nil }
  var texts: [String] = []
  for field in fields {
    guard let text = String(validating: field, as: UTF8.self) else { return nil }
    texts.append(text)
  }
  return texts
}

/// The lines of a text file, one after the other, without reading all of it.
public struct LinesOfFile {
  private let bytes: MappedBytes
  private var offset = 0
  private var released = 0
  private static let window = 8 << 20

  /// - Throws: `DatasetError` if the file cannot be read.
  public init(_ path: String) throws(DatasetError) { bytes = try MappedBytes(file: path) }

  /// The next line, without its end; nil where there is none. `isWhole` is false for a last line without an end.
  public mutating func next() -> (line: [UInt8], isWhole: Bool)? {
    guard offset < bytes.count else { return nil }
    let (line, isWhole) = unsafe bytes.read(offset..<bytes.count) { rest in
      guard let end = unsafe rest.firstIndex(of: UInt8(ascii: "\n")) else { return (unsafe Array(rest), false) }
      return (unsafe Array(rest[..<end]), true)
    }
    offset += line.count + 1
    if offset - released > Self.window {
      bytes.release(released..<min(offset, bytes.count))
      released = min(offset, bytes.count)
    }
    return (line, isWhole)
  }
}
