// Lists of paths with their labels, as most people write them: `path label`.

/// Rows `path label`, separated by blanks, commas, tabs or `;`, with or without a header. They are split from the
/// right. A label is a name or a number; several numbers are several labels. Further columns need a header, which may
/// also name a start and an end in seconds.
///
/// A path is absolute, or relative to the videos folder, the list's folder or the data folder; without an extension,
/// any extension counts.
public struct PathLabelAnnotations: AnnotationSource {
  public let name = "list"
  public let appearance = "`path label`"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool { Shape(of: list) != nil }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    guard let first = list.sample.first else { return }
    guard let shape = Shape(of: list) else {
      throw DatasetError(
        .badData,
        "\(first.place): read '\(first.text.prefix(80))', expected `path label`, separated by a blank, comma, tab or ;")
    }
    try list.forEachLine(take) { line throws(RowProblem) in
      // Each file of a pattern has a header of its own.
      if shape.hasHeader, line.place.line == first.place.line { return nil }
      if let header = shape.header { return try Self.clip(line, header, shape.separator) }
      let (path, labels) = try shape.split(line)
      guard !path.isEmpty else { throw RowProblem(expected: "`path label`") }
      return AnnotatedClip(id: path, video: path, labels: labels, place: line.place)
    }
  }

  private static func clip(
    _ line: ListLine, _ header: ListHeader, _ separator: Character
  ) throws(RowProblem) -> AnnotatedClip {
    var fields = try line.fields(separatedBy: separator)
    if fields.count > header.columns, header.label == header.columns - 1 {
      // A name with the separator in it, in the last column.
      let tail = fields[(header.columns - 1)...].joined(separator: separator == " " ? " " : "\(separator) ")
      fields = fields.prefix(header.columns - 1) + [tail]
    }
    guard fields.count == header.columns else {
      throw RowProblem(
        "\(fields.count) columns where the header has \(header.columns); a field with a comma must be quoted")
    }
    let path = fields[header.video]
    guard !path.isEmpty else { throw RowProblem("no path") }
    let times = try header.times(fields)
    return AnnotatedClip(
      id: path + (times?.suffix ?? ""), video: path, labels: Shape.labels(header.label.map { fields[$0] } ?? ""),
      part: times?.part ?? .whole, place: line.place)
  }

  /// How a list's rows are written.
  struct Shape {
    let separator: Character
    let hasHeader: Bool
    /// Nil if the list has no header, or one that names no column that is known.
    let header: ListHeader?

    /// - Returns: nil if the first rows are not `path label`.
    init?(of list: AnnotationList) {
      guard let first = list.sample.first else { return nil }
      for separator in ["\t", ";", ",", " "] as [Character] where first.text.contains(separator) {
        guard let fields = try? first.fields(separatedBy: separator), fields.count > 1,
          !fields.contains(where: { FileNames.hasExtension($0) || isNumber($0) }), let header = ListHeader(fields),
          header.label != nil
        else { continue }
        (self.separator, hasHeader, self.header) = (separator, true, header)
        return
      }
      var best: (score: Int, separator: Character)?
      for separator in ["\t", ";", ",", " "] as [Character] {
        let score = Self.score(list.sample, separator)
        if score > best?.score ?? 0 { best = (score, separator) }
      }
      if let best {
        separator = best.separator
      } else if list.sample.allSatisfy({ FileNames.hasExtension($0.text) }) {
        separator = ","
      } else {
        return nil
      }
      header = nil
      // A header in words that nobody knows: the only row without a file's extension, or without a number.
      hasHeader = Self.standsOut(first, list.sample.dropFirst(), separator)
    }

    /// How well rows are explained as path, separator, label; 0 if not at all.
    private static func score(_ lines: [ListLine], _ separator: Character) -> Int {
      var (score, rows) = (0, 0)
      for line in lines {
        guard let (path, label) = cut(line.text, separator) else { continue }
        rows += 1
        score += 1 + (FileNames.hasExtension(path) ? 1 : 0) + (isNumber(Dataset.label(label)) ? 1 : 0)
      }
      return rows * 10 >= lines.count * 8 ? score : 0
    }

    private static func standsOut(_ first: ListLine, _ rest: ArraySlice<ListLine>, _ separator: Character) -> Bool {
      guard !rest.isEmpty, let (path, label) = cut(first.text, separator) else { return false }
      let others = rest.compactMap { cut($0.text, separator) }
      guard others.count == rest.count, !FileNames.hasExtension(path), !isNumber(Dataset.label(label)) else {
        return false
      }
      return others.allSatisfy { FileNames.hasExtension($0.path) }
        || others.allSatisfy { isNumber(Dataset.label($0.label)) }
    }

    /// The path and labels of a row without a header; a row without a label is a path.
    func split(_ line: ListLine) throws(RowProblem) -> (path: String, labels: [String]) {
      if separator != " ", line.text.utf8.contains(UInt8(ascii: "\"")) {
        let fields = try line.fields(separatedBy: separator)
        return (fields[0], fields.dropFirst().flatMap { Self.labels($0) })
      }
      guard let (path, label) = Self.cut(line.text, separator) else {
        guard FileNames.hasExtension(line.text) else { throw RowProblem(expected: "`path label`") }
        return (line.text, [])
      }
      return (path, Self.labels(label))
    }

    /// Cuts from the right: at the last separator before which a file's extension stands, or else at the last one.
    static func cut(_ text: String, _ separator: Character) -> (path: String, label: String)? {
      let mark = separator.asciiValue ?? UInt8(ascii: " ")
      func isMark(_ byte: UInt8) -> Bool { byte == mark || (mark == 32 && byte == 9) }
      let utf8 = text.utf8
      var last: String.Index?
      var rest = Substring(text).utf8
      while let at = rest.lastIndex(where: isMark) {
        let path = trimmed(Substring(rest[..<at]))
        if path.isEmpty { break }
        if last == nil { last = at }
        if FileNames.hasExtension(path), !path.hasPrefix("\"") || path.hasSuffix("\"") {
          return (String(path), String(trimmed(Substring(utf8[utf8.index(after: at)...]))))
        }
        rest = rest[..<at]
      }
      guard let last else { return nil }
      return (
        String(trimmed(Substring(utf8[..<last]))), String(trimmed(Substring(utf8[utf8.index(after: last)...])))
      )
    }

    /// One name, or several numbers.
    static func labels(_ text: String) -> [String] {
      if text.isEmpty { return [] }
      let words = text.split { " ,;\t".contains($0) }.map { Dataset.label($0) }
      return words.allSatisfy(isNumber) && !words.isEmpty ? words : [text]
    }
  }
}
