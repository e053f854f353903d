// A line of a list, and the ways in which lists separate its fields. What the fields mean is for a source to say.

/// A line of a list, without blanks at its ends.
public struct ListLine: Sendable {
  public let text: String
  public let place: RowPlace

  /// The fields of comma-separated values with quotes (RFC 4180), or of the same with another separator. Blanks round
  /// an unquoted field are dropped. A quoted field ends in its line.
  ///
  /// - Throws: `RowProblem` if a quote is not closed, or text follows a closing quote.
  func fields(separatedBy separator: Character = ",") throws(RowProblem) -> [String] {
    if separator == " " { return words }
    let mark = separator.asciiValue ?? UInt8(ascii: ",")
    guard text.utf8.contains(UInt8(ascii: "\"")) else {
      return text.utf8.split(separator: mark, omittingEmptySubsequences: false).map { String(trimmed(Substring($0))) }
    }
    var fields: [String] = []
    var rest = Substring(text).utf8
    while true {
      rest = trimmed(Substring(rest)).utf8
      if rest.first == UInt8(ascii: "\"") {
        fields.append(try Self.quoted(&rest))
        rest = trimmed(Substring(rest)).utf8
        guard let next = rest.first else { return fields }
        guard next == mark else {
          throw RowProblem("text follows a closing quote; double the quotes inside a quoted field")
        }
        rest = rest.dropFirst()
      } else {
        let field = rest.prefix { $0 != mark }
        fields.append(String(trimmed(Substring(field))))
        rest = rest[field.endIndex...]
        guard !rest.isEmpty else { return fields }
        rest = rest.dropFirst()
      }
    }
  }

  /// Takes a quoted field off the front of `rest`.
  private static func quoted(_ rest: inout Substring.UTF8View) throws(RowProblem) -> String {
    var field: [UInt8] = []
    rest = rest.dropFirst()
    while let byte = rest.first {
      rest = rest.dropFirst()
      if byte != UInt8(ascii: "\"") {
        field.append(byte)
      } else if rest.first == UInt8(ascii: "\"") {
        field.append(byte)
        rest = rest.dropFirst()
      } else {
        return String(decoding: field, as: UTF8.self)
      }
    }
    throw RowProblem("a quote is opened and not closed in its line")
  }

  /// What blanks separate.
  var words: [String] {
    text.utf8.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }.map { String(Substring($0)) }
  }
}

/// `text` without blanks at its ends.
func trimmed(_ text: Substring) -> Substring {
  func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
  var utf8 = text.utf8
  while let first = utf8.first, isBlank(first) { utf8 = utf8.dropFirst() }
  while let last = utf8.last, isBlank(last) { utf8 = utf8.dropLast() }
  return Substring(utf8)
}

/// A label as it is compared: `3.0` is the number 3, as some lists write it.
func label(_ text: some StringProtocol) -> String {
  guard text.utf8.contains(UInt8(ascii: ".")), let value = Double(text), let whole = Int(exactly: value) else {
    return String(text)
  }
  return String(whole)
}
