// The classes of a data set and their numbers.
import Foundation
import Remote
import Shared

/// The classes of a data set, in the order of their numbers.
public struct ClassList: Sendable, Equatable {
  public let names: [String]
  /// What the user should know about them: gaps, classes without clips, labels that are none.
  public private(set) var warnings: [String] = []
  private let numbers: [String: Int]
  /// The numbers of classes by `FileNames.plain`; -1 where several classes have that name.
  private let plain: [String: Int]
  /// The label of the first class, if the labels are numbers.
  private var firstLabel: Int?

  /// - Throws: `DatasetError` if a name is repeated or there is no class.
  public init(_ names: [String]) throws {
    guard !names.isEmpty else {
      throw DatasetError(.badData, "no classes: the training list has no labels; name a label file in the recipe")
    }
    self.names = names
    var numbers: [String: Int] = [:]
    var plain: [String: Int] = [:]
    for (number, name) in names.enumerated() {
      guard numbers.updateValue(number, forKey: name) == nil else {
        throw DatasetError(.badData, "the class '\(name)' is listed twice")
      }
      let plainName = FileNames.plain(name)
      plain[plainName] = plain[plainName] == nil ? number : -1
    }
    self.numbers = numbers
    self.plain = plain
  }

  /// The number of the class that a list's label means; nil if there is none. A name counts if it is a class's own, or
  /// differs from one class's alone by case, blanks and punctuation.
  public func number(of label: String) -> Int? {
    if let number = numbers[label] { return number }
    if let firstLabel, isNumber(label) {
      let number = (Int(label) ?? -1) - firstLabel
      return names.indices.contains(number) ? number : nil
    }
    guard let number = plain[FileNames.plain(label)], number >= 0, !FileNames.plain(label).isEmpty else { return nil }
    return number
  }

  // MARK: From a training list

  /// The labels of a training list: numbers in their order, as many as there are from the lowest to the highest; names
  /// sorted by their UTF-8 bytes.
  ///
  /// - Parameter others: labels that are classes even if no training clip has them.
  /// - Throws: `DatasetError` if no clip has a label.
  public init(labelsOf training: Annotations, and others: [String] = []) throws {
    let labels = Set(training.labels.keys).union(others)
    guard labels.allSatisfy(isNumber) else {
      try self.init(labels.sorted(by: precedesInUTF8))
      let missing = names.filter { training.labels[$0] == nil }
      if !missing.isEmpty { warnings.append("\(training.name): no training clip shows \(list(missing))") }
      warnings += Self.unlabelled(training)
      return
    }
    let values = Set(labels.compactMap { Int($0) }).filter { $0 >= 0 }.sorted()
    guard let low = values.first, let high = values.last else {
      throw DatasetError(
        .badData,
        "\(training.name): no row has a label; expected a name or a number from 0"
          + AnnotationFormats.known.hint(training.list, not: training.source))
    }
    let first = low == 1 ? 1 : 0
    guard high - first < 2 * values.count + 1000 else {
      try self.init(values.map(String.init))
      warnings.append(
        "\(training.name): its labels are \(values.count) numbers from \(low) to \(high); the classes are these numbers, "
          + "in their order. Name them in a label file ('data.labels') to have others")
      return
    }
    try self.init((first...high).map(String.init))
    firstLabel = first
    let known = Set(values)
    let gaps = (first...high).filter { !known.contains($0) }
    if !gaps.isEmpty {
      warnings.append(
        "\(training.name): no clip has the \(gaps.count == 1 ? "label" : "labels") \(list(gaps.map(String.init)))")
    }
    warnings += Self.unlabelled(training)
  }

  private static func unlabelled(_ training: Annotations) -> [String] {
    let negative = training.labels.filter { $0.key.hasPrefix("-") && isNumber($0.key) }
    guard !negative.isEmpty else { return [] }
    let rows = negative.values.reduce(0, +)
    return [
      "\(training.name): \(rows) \(rows == 1 ? "row has" : "rows have") the label "
        + "\(list(negative.keys.sorted(by: precedesInUTF8))), which is none, and \(rows == 1 ? "is" : "are") left out"
    ]
  }

  // MARK: From a label file

  /// Reads a label file.
  ///
  /// - Parameter training: the list whose labels are to be its classes, by name or by number.
  /// - Throws: `DatasetError` naming file and line; or the file, if it has none of the list's labels; `RemoteError` for
  ///   one on the web that cannot be read.
  public init(contentsOf path: String, training: Annotations? = nil, remote: RemoteFiles? = nil) throws {
    if let remote, isWebAddress(path) {
      try self.init(parsing: remote.document(path, limit: 1 << 24), name: shownPath(path), training: training)
      return
    }
    let data = try contents(ofFile: path, advice: "check the recipe's label file ('data.labels')")
    try self.init(parsing: data, name: path, training: training)
  }

  /// - Parameter name: what errors call the file.
  public init(parsing data: Data, name: String, training: Annotations? = nil) throws {
    let file = try LabelFile(data, name: name, labels: training.map { Set($0.labels.keys) } ?? [])
    do { try self.init(file.names) } catch let error as DatasetError {
      throw DatasetError(error.status, "\(name): \(error.description)")
    }
    if let training { try match(training, file, name) }
  }

  private mutating func match(_ training: Annotations, _ file: LabelFile, _ name: String) throws {
    let labels = training.labels.keys.filter { !($0.hasPrefix("-") && isNumber($0)) }.sorted(by: precedesInUTF8)
    if labels.allSatisfy(isNumber), labels.contains(where: { numbers[$0] == nil }) {
      let values = labels.compactMap { Int($0) }
      firstLabel = values.contains(0) ? 0 : file.firstNumber ?? (values.max() == names.count ? 1 : 0)
      if firstLabel == 1, file.firstNumber == nil {
        warnings.append(
          "\(training.name): its labels are the numbers 1 to \(names.count), so 1 is the first of \(name), '\(names[0])'"
        )
      }
    }
    let strange = labels.filter { number(of: $0) == nil }
    guard strange.count < labels.count || labels.isEmpty else {
      throw DatasetError(
        .badData,
        "\(name): has none of the labels of \(training.name): there they are \(list(strange)); "
          + "here the classes are \(list(names))")
    }
    if !strange.isEmpty {
      warnings.append(
        "\(name): lacks \(strange.count) labels of \(training.name): \(list(strange)); their rows are left out")
    }
    let used = Set(labels.compactMap { number(of: $0) })
    let empty = names.indices.filter { !used.contains($0) }
    if !empty.isEmpty, !labels.isEmpty {
      warnings.append(
        "\(training.name): \(empty.count) of the \(names.count) classes of \(name) have no clip: \(list(empty.map { names[$0] }))"
      )
    }
    warnings += Self.unlabelled(training)
  }
}

/// A few of many names: `'a', 'b', 'c' and 12 more`.
func list(_ names: [String]) -> String {
  let shown = names.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
  return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
}

/// The order of names everywhere in Tamring: by UTF-8 bytes, which no locale or Unicode version changes.
func precedesInUTF8(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
