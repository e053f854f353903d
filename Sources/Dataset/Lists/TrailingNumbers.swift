// Rows that end in numbers, as lists of folders of images do: `path frames label`, `path start end label…`.

/// A row that ends in whole numbers, at least two.
struct TrailingNumbers: Equatable {
  let path: String
  let numbers: [Int]

  /// The numbers at the end of a row, as many as there are, but never its whole text.
  init?(_ line: ListLine, separator: Character) {
    let mark = separator.asciiValue ?? UInt8(ascii: " ")
    func isMark(_ byte: UInt8) -> Bool { byte == mark || (separator == " " && byte == UInt8(ascii: "\t")) }
    var numbers: [Int] = []
    var rest = line.text[...].utf8
    while let at = rest.lastIndex(where: isMark) {
      let field = label(trimmed(Substring(rest[rest.index(after: at)...])))
      guard isNumber(field), let number = Int(field) else { break }
      let before = trimmed(Substring(rest[..<at]))
      guard !before.isEmpty else { break }
      numbers.append(number)
      rest = before.utf8
    }
    guard numbers.count >= 2 else { return nil }
    self.numbers = numbers.reversed()
    path = String(Substring(rest))
  }

  /// The separator with which most of `list`'s first rows end in two or more numbers; nil if there is none.
  static func separator(of list: AnnotationList) -> Character? {
    guard !list.sample.isEmpty else { return nil }
    let found = [";", "\t", ",", " "].map { (separator: Character) in
      (separator, list.sample.count { TrailingNumbers($0, separator: separator) != nil })
    }
    // The first of equals.
    let best = found.reversed().max { $0.1 < $1.1 }
    guard let best, best.1 * 10 >= list.sample.count * 9 else { return nil }
    return best.0
  }

  /// The first rows of a list whose rows end in numbers; empty if it is none.
  static func sample(of list: AnnotationList) -> [TrailingNumbers] {
    guard let separator = separator(of: list) else { return [] }
    return list.sample.compactMap { TrailingNumbers($0, separator: separator) }
  }
}

extension Sequence<TrailingNumbers> {
  /// Whether most rows name a file, by its extension, and no folder.
  var nameFiles: Bool { count { FileNames.hasExtension($0.path) } * 2 > count { _ in true } }
}

extension AnnotationList {
  /// Reads rows that end in at least `least` numbers.
  ///
  /// - Parameter wanted: what a row looks like.
  func forEachNumberedRow(
    _ take: (AnnotatedRow) throws -> Void, expected wanted: String,
    parse: (TrailingNumbers, RowPlace) throws(RowProblem) -> AnnotatedClip
  ) throws {
    let separator = TrailingNumbers.separator(of: self) ?? " "
    try forEachLine(take) { line throws(RowProblem) in
      guard let row = TrailingNumbers(line, separator: separator) else { throw RowProblem(expected: wanted) }
      return try parse(row, line.place)
    }
  }
}
