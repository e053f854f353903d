// Reads files of class names, as people have them: with or without numbers, before or after the names, with or without
// a header, as text or as JSON.
import Foundation

/// The class names of a label file, in the order of their numbers.
struct LabelFile {
  let names: [String]
  /// The first class's number in the file, 0 or 1; nil if the file has no numbers.
  let firstNumber: Int?

  private struct Entry {
    let name: String
    let number: Int
    let line: Int
  }

  /// - Parameters:
  ///   - name: what errors call the file.
  ///   - labels: the labels of the training list, to tell a header from a class.
  /// - Throws: `DatasetError` naming file and line.
  init(_ data: Data, name: String, labels: Set<String> = []) throws {
    var lines: [ListLine] = []
    try ListFile(name: name, contents: .data(data)).forEachLine { bytes, number in
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw DatasetError.badData(name, line: number, "not UTF-8; convert the file, e.g. with iconv")
      }
      lines.append(ListLine(text: text, place: RowPlace(file: name, line: number)))
    }
    guard let first = lines.first else {
      throw DatasetError.badData(name, line: 1, "the file is empty; expected a class name on each line")
    }
    if first.text.hasPrefix("{") || first.text.hasPrefix("[") {
      try self.init(json: data, name: name)
    } else if let entries = try Self.columns(lines) {
      try self.init(entries, name)
    } else if let entries = Self.numbered(lines[...]) ?? Self.numbered(lines.dropFirst()) {
      try self.init(entries, name)
    } else {
      let words = ["label", "labels", "class", "classes", "name", "names", "class_name", "category", "action"]
      let hasHeader = lines.count > 1 && words.contains(first.text.lowercased()) && !labels.contains(first.text)
      let kept = hasHeader ? lines.dropFirst() : lines[...]
      try Self.refuseRepeated(kept.map { (Self.unquoted($0.text), $0.place.line) }, name)
      self.init(kept.map { Self.unquoted($0.text) })
    }
  }

  private init(_ names: [String]) {
    self.names = names
    firstNumber = nil
  }

  private init(_ entries: [Entry], _ file: String) throws {
    try Self.refuseRepeated(entries.map { ($0.name, $0.line) }, file)
    let sorted = entries.sorted { ($0.number, $0.line) < ($1.number, $1.line) }
    let first = sorted.first?.number == 1 ? 1 : 0
    for (place, entry) in sorted.enumerated() where entry.number != first + place {
      let problem =
        place > 0 && sorted[place - 1].number == entry.number
        ? "the number \(entry.number) is that of '\(sorted[place - 1].name)' and of '\(entry.name)'"
        : "no class has the number \(first + place)"
      throw DatasetError.badData(
        file, line: entry.line,
        "\(problem); expected the numbers \(first) to \(first + sorted.count - 1), each once")
    }
    names = sorted.map(\.name)
    firstNumber = first
  }

  private static func refuseRepeated(_ names: [(String, Int)], _ file: String) throws {
    var lines: [String: Int] = [:]
    for (name, line) in names {
      if let earlier = lines.updateValue(line, forKey: name) {
        throw DatasetError.badData(file, line: line, "the class '\(name)' is listed twice, first in line \(earlier)")
      }
    }
  }

  // MARK: Text

  /// A file with a header that names the columns of numbers and names.
  private static func columns(_ lines: [ListLine]) throws -> [Entry]? {
    for separator in [",", "\t", ";"] as [Character] {
      guard let header = try? lines[0].fields(separatedBy: separator).map({ $0.lowercased() }), header.count > 1 else {
        continue
      }
      func column(_ wanted: [String]) -> Int? { wanted.lazy.compactMap { header.firstIndex(of: $0) }.first }
      let names = [
        "name", "class_name", "label_name", "display_name", "label", "class", "action", "category", "template",
      ]
      let numbers = ["id", "index", "number", "idx", "class_id", "label_id", "class_index", "label", "class"]
      guard let name = column(names), let number = column(numbers.filter { $0 != header[name] }) else { continue }
      return try lines.dropFirst().map { line in
        guard let fields = try? line.fields(separatedBy: separator), fields.count == header.count,
          let value = Int(fields[number])
        else {
          throw DatasetError.badData(
            line.place.file, line: line.place.line,
            "read '\(line.text.prefix(80))', expected a row of \(header.joined(separator: String(separator)))")
        }
        return Entry(name: fields[name], number: value, line: line.place.line)
      }
    }
    return nil
  }

  /// Lines that all have a number, at their end or their beginning. A name may end in a number, so blanks separate only
  /// where the numbers are those of classes.
  private static func numbered(_ lines: ArraySlice<ListLine>) -> [Entry]? {
    guard !lines.isEmpty else { return nil }
    for separator in [",", "\t", ";", ":", " "] as [Character] {
      for isBefore in [false, true] {
        let entries = lines.compactMap { entry($0, separator, isBefore) }
        guard entries.count == lines.count else { continue }
        if separator != " " { return entries }
        let numbers = entries.map(\.number).sorted()
        if numbers == Array(0..<entries.count) || numbers == Array(1...entries.count) { return entries }
      }
    }
    return nil
  }

  private static func entry(_ line: ListLine, _ separator: Character, _ isBefore: Bool) -> Entry? {
    let text = line.text
    guard let at = isBefore ? text.firstIndex(of: separator) : text.lastIndex(of: separator) else { return nil }
    let (left, right) = (trimmed(text[..<at]), trimmed(text[text.index(after: at)...]))
    let (number, name) = isBefore ? (left, right) : (right, left)
    guard isNumber(number), let value = Int(number), value >= 0, !name.isEmpty else { return nil }
    return Entry(name: unquoted(String(name)), number: value, line: line.place.line)
  }

  private static func unquoted(_ name: String) -> String {
    let isQuoted = name.utf8.count >= 2 && name.hasPrefix("\"") && name.hasSuffix("\"")
    return isQuoted ? name.dropFirst().dropLast().replacingOccurrences(of: "\"\"", with: "\"") : name
  }

  // MARK: JSON

  /// `["a", "b"]`, `{"a": 0, "b": "1"}` or `{"0": "a", "1": "b"}`.
  private init(json data: Data, name: String) throws {
    var items = JSONItems(data, name: name)
    var entries: [Entry] = []
    var names: [(String, Int)] = []
    try items.forEach { item in
      let number = { (value: Any?) in (value as? Int) ?? (value as? String).flatMap { isNumber($0) ? Int($0) : nil } }
      if let text = item.value as? String, item.key == nil {
        names.append((text, item.line))
      } else if let key = item.key, let value = number(item.value) {
        // PyTorchVideo's file of Kinetics has quotes within the names.
        entries.append(Entry(name: Self.unquoted(key), number: value, line: item.line))
      } else if let value = number(item.key), let text = item.value as? String {
        entries.append(Entry(name: text, number: value, line: item.line))
      } else {
        throw DatasetError.badData(
          name, line: item.line,
          "read '\(String(decoding: item.bytes.prefix(80), as: UTF8.self))', expected a class name and its number")
      }
    }
    if entries.isEmpty {
      try Self.refuseRepeated(names, name)
      self.init(names.map(\.0))
    } else {
      try self.init(entries, name)
    }
  }
}
