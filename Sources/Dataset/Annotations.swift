// An annotation list that was read once: its format, its labels, how many rows it has. Rows are read again where they
// are needed, so that ten million of them are never in memory.
import Foundation

/// An annotation list, in its own order.
public struct Annotations: Sendable {
  /// The list's name, for messages.
  public let name: String
  public let source: any AnnotationSource
  let list: AnnotationList
  /// Rows that can be read.
  public private(set) var count = 0
  /// Rows that cannot be read.
  public private(set) var unreadable = 0
  /// How many rows have each label.
  public private(set) var labels: [String: Int] = [:]

  /// - Parameters:
  ///   - source: the list's format; nil for the first one that recognises it.
  ///   - mayBeEmpty: whether it may have no rows.
  /// - Throws: `DatasetError` naming file and line if no row can be read.
  public init(
    _ list: AnnotationList, source: (any AnnotationSource)? = nil, formats: AnnotationFormats = .known,
    mayBeEmpty: Bool = false
  ) throws {
    self.list = list
    name = list.name
    guard let source = source ?? formats.recognising(list) else {
      guard let line = list.sample.first else { throw DatasetError.badData(list.name, line: 1, "the list is empty") }
      let known = formats.sources.map { "\($0.name) (\($0.appearance))" }.joined(separator: ", ")
      throw DatasetError(
        .badData, "\(line.place): read '\(line.text.prefix(80))', expected one of the known formats: \(known)")
    }
    self.source = source
    var counts = (rows: 0, unreadable: 0)
    var labels: [String: Int] = [:]
    var first: UnreadableRow?
    do {
      try source.read(list) { row in
        switch row {
        case .clip(let clip):
          counts.rows += 1
          for label in clip.labels { labels[label, default: 0] += 1 }
        case .unreadable(let row):
          counts.unreadable += 1
          first = first ?? row
        }
      }
    } catch let error as DatasetError where error.status == .badData {
      throw DatasetError(.badData, error.description + formats.hint(list, not: source))
    }
    (count, unreadable) = counts
    self.labels = labels
    guard count > 0 || mayBeEmpty else {
      let reason =
        first?.description ?? "\(list.sample.first?.place ?? RowPlace(file: name, line: 1)): the list has no rows"
      throw DatasetError(.badData, reason + formats.hint(list, not: source))
    }
  }

  /// Reads the list at `path`, which may be a pattern with `*` or braces, or a folder of lists.
  ///
  /// - Throws: `DatasetError` naming file and line.
  public init(contentsOf path: String, source: (any AnnotationSource)? = nil) throws {
    try self.init(AnnotationList(contentsOf: path), source: source)
  }

  /// - Parameter name: what errors call the file.
  /// - Throws: `DatasetError` naming file and line.
  public init(parsing data: Data, name: String, source: (any AnnotationSource)? = nil) throws {
    try self.init(AnnotationList(name: name, data: data), source: source)
  }

  /// Passes all rows to `body`, in the list's order.
  ///
  /// - Throws: `DatasetError` if the list cannot be read again.
  public func forEachRow(_ body: (AnnotatedRow) throws -> Void) throws { try source.read(list, body) }
}
