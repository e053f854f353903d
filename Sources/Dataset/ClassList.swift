// The classes of a data set and their numbers.
import Foundation

/// The classes of a data set, in the order of their numbers.
public struct ClassList: Sendable, Equatable {
  public let names: [String]
  private let numbers: [String: Int]

  /// - Throws: `DatasetError` if a name is repeated or there is no class.
  public init(_ names: [String]) throws {
    guard !names.isEmpty else {
      throw DatasetError(.badData, "no classes: the training list has no labels; name a label file in the recipe")
    }
    self.names = names
    var numbers: [String: Int] = [:]
    for (number, name) in names.enumerated() where numbers.updateValue(number, forKey: name) != nil {
      throw DatasetError(.badData, "the class '\(name)' is listed twice")
    }
    self.numbers = numbers
  }

  /// The labels of a training list, sorted by their UTF-8 bytes.
  ///
  /// - Throws: `DatasetError` if no clip has a label.
  public init(labelsOf training: Annotations) throws {
    try self.init(Set(training.clips.compactMap(\.label)).sorted(by: precedesInUTF8))
  }

  /// Reads a label file: one name a line in numerical order, or `name,number` on every line.
  ///
  /// - Throws: `DatasetError` naming file and line.
  public init(contentsOf path: String) throws {
    let data = try contents(ofFile: path, advice: "check the recipe's label file")
    try self.init(parsing: data, name: path)
  }

  /// - Parameter name: what errors call the file.
  /// - Throws: `DatasetError` naming file and line.
  public init(parsing data: Data, name: String) throws {
    guard let text = String(validating: data, as: UTF8.self) else {
      throw DatasetError.badData(name, line: 1, "not UTF-8; convert the file, e.g. with iconv")
    }
    let lines = text.split(omittingEmptySubsequences: true, whereSeparator: \.isNewline)
      .map { $0.drop { $0 == "\u{FEFF}" }.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    let numbered = lines.compactMap(ClassList.numbered)
    do {
      // A label may contain a comma, so the file has numbers only if every line has one.
      guard !lines.isEmpty, numbered.count == lines.count else {
        try self.init(lines)
        return
      }
      let sorted = numbered.sorted { $0.number < $1.number }
      guard sorted.map(\.number) == Array(0..<sorted.count) else {
        throw DatasetError(.badData, "the classes' numbers must be 0 to \(sorted.count - 1), each once")
      }
      try self.init(sorted.map(\.name))
    } catch let error as DatasetError {
      throw DatasetError(error.status, "\(name): \(error.description)")
    }
  }

  private static func numbered(_ line: String) -> (name: String, number: Int)? {
    guard let comma = line.lastIndex(of: ","), let number = Int(line[line.index(after: comma)...]) else { return nil }
    let name = line[..<comma]
    let quoted = name.utf8.count >= 2 && name.first == "\"" && name.last == "\""
    return (
      quoted ? name.dropFirst().dropLast().replacingOccurrences(of: "\"\"", with: "\"") : String(name), number
    )
  }

  /// The number of the class `name`; nil if there is none.
  public func number(of name: String) -> Int? { numbers[name] }
}

/// The order of names everywhere in Tamring: by UTF-8 bytes, which no locale or Unicode version changes.
func precedesInUTF8(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
