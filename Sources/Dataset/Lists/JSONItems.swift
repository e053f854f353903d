// Cuts a JSON array or object into its elements, which are then parsed one by one: a list of 200,000 clips as one tree
// of Foundation's objects would take half a gigabyte.
import Foundation

/// An element of an array, or a member of an object.
struct JSONItem {
  /// Nil in an array.
  let key: String?
  let bytes: ArraySlice<UInt8>
  /// The line on which it begins.
  let line: Int

  /// What it is: a dictionary, an array, a string, a number; nil if it is no JSON.
  var value: Any? { try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed) }
}

/// The elements of the JSON array or object that is `bytes`.
struct JSONItems {
  private let bytes: [UInt8]
  private let name: String
  private var at = 0
  private var line = 1

  /// - Parameter name: what errors call the text.
  init(_ data: Data, name: String) {
    bytes = [UInt8](data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data)
    self.name = name
  }

  /// - Throws: `DatasetError` naming file and line if this is no array or object, or is cut off.
  mutating func forEach(_ body: (JSONItem) throws -> Void) throws {
    skipBlanks()
    guard let open = peek, open == UInt8(ascii: "[") || open == UInt8(ascii: "{") else {
      throw DatasetError.badData(name, line: line, "expected JSON that begins with [ or {")
    }
    at += 1
    while true {
      skipBlanks()
      guard let next = peek else { throw cutOff }
      if next == UInt8(ascii: ",") {
        at += 1
        continue
      }
      if next == UInt8(ascii: "]") || next == UInt8(ascii: "}") { return }
      let first = line
      var key: String?
      if open == UInt8(ascii: "{") {
        let text = try scan()
        key = JSONItem(key: nil, bytes: text, line: first).value as? String
        skipBlanks()
        guard key != nil, peek == UInt8(ascii: ":") else {
          throw DatasetError.badData(name, line: line, "expected JSON: a text in quotes, and a colon")
        }
        at += 1
        skipBlanks()
      }
      try body(JSONItem(key: key, bytes: try scan(), line: first))
    }
  }

  private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  private var cutOff: DatasetError { .badData(name, line: line, "the JSON ends too early: the file is cut off") }

  private mutating func skipBlanks() {
    while let byte = peek, byte == 32 || byte == 9 || byte == 10 || byte == 13 {
      if byte == 10 { line += 1 }
      at += 1
    }
  }

  /// The value at this place, up to the comma or bracket that follows it.
  private mutating func scan() throws(DatasetError) -> ArraySlice<UInt8> {
    let start = at
    var depth = 0
    var isQuoted = false
    while let byte = peek {
      if byte == 10 { line += 1 }
      if isQuoted {
        if byte == UInt8(ascii: "\\") { at += 1 } else if byte == UInt8(ascii: "\"") { isQuoted = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isQuoted = true
        case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: "]"), UInt8(ascii: "}"):
          if depth == 0 { return bytes[start..<at] }
          depth -= 1
        case UInt8(ascii: ","), UInt8(ascii: ":"): if depth == 0 { return bytes[start..<at] }
        default: break
        }
      }
      at += 1
    }
    throw cutOff
  }
}

extension AnnotationList {
  /// Whether the list is JSON that begins with these two marks, blanks left out. A path may begin with the first.
  func isJSON(beginningWith marks: String) -> Bool {
    let text = sample.prefix(2).map(\.text).joined()
    return text.utf8.lazy.filter { $0 != 32 && $0 != 9 }.prefix(marks.utf8.count).elementsEqual(marks.utf8)
  }
}
