// Clips of a list that cannot be used, each with a reason for the user, and the file that lists them.
import Foundation

/// A clip that an annotation list names, but the index leaves out.
public struct RejectedClip: Equatable, Sendable {
  public var id: String
  /// Relative to the data folder; empty if there is no file.
  public var path: String
  public var reason: String

  public init(id: String, path: String, reason: String) {
    self.id = id
    self.path = path
    self.reason = reason
  }
}

/// The file of the rejected clips of a list: a first line with the version, then `ID PATH REASON` lines separated by
/// tabs, sorted. It is read line by line.
public struct RejectedList: Sendable {
  static let signature = ["tamring-rejected", "1"]
  static let remedy = "make it anew with 'coordinator index'"

  public let path: String
  public let count: Int

  /// A list of no clips, in no file.
  public static let none = RejectedList(path: "", count: 0)

  /// - Throws: `DatasetError` naming file and line.
  public init(_ path: String) throws(DatasetError) {
    self.path = path
    var count = 0
    try Self.read(path) { _ throws(DatasetError) in
      count += 1
      return true
    }
    self.count = count
  }

  fileprivate init(path: String, count: Int) {
    self.path = path
    self.count = count
  }

  /// Passes on each clip, in order.
  public func forEach(_ body: (RejectedClip) throws -> Void) throws {
    if count == 0 { return }
    var failure: (any Error)?
    try Self.read(path) { clip throws(DatasetError) in
      do { try body(clip) } catch { failure = error }
      return failure == nil
    }
    if let failure { throw failure }
  }

  /// The first clips.
  public func prefix(_ most: Int) throws(DatasetError) -> [RejectedClip] {
    var clips: [RejectedClip] = []
    if most > 0, count > 0 {
      try Self.read(path) { clip throws(DatasetError) in
        clips.append(clip)
        return clips.count < most
      }
    }
    return clips
  }

  /// - Parameter body: returns false to stop.
  private static func read(
    _ path: String, _ body: (RejectedClip) throws(DatasetError) -> Bool
  ) throws(DatasetError) {
    var lines = try LinesOfFile(path)
    var number = 0
    while let (line, isWhole) = lines.next() {
      number += 1
      guard isWhole else { throw .badData(path, line: number, "the last line has no end; \(remedy)") }
      let fields = unescapedFields(line)
      if number == 1 {
        guard fields == signature else {
          throw .badData(path, line: 1, "does not begin with '\(signature.joined(separator: " "))'; \(remedy)")
        }
        continue
      }
      guard let fields, fields.count == 3 else { throw .badData(path, line: number, "damaged line; \(remedy)") }
      if try !body(RejectedClip(id: fields[0], path: fields[1], reason: fields[2])) { return }
    }
    if number == 0 { throw .badData(path, line: 1, "is empty; \(remedy)") }
  }
}

/// Makes the file of the rejected clips of a list, in bounded memory. It belongs to one thread at a time.
public final class RejectedListWriter {
  private let sorter: RowSorter

  /// - Parameter folder: where the clips wait until they are sorted.
  public init(folder: String) throws(DatasetError) { sorter = try RowSorter(folder: folder) }

  /// Clips that were added.
  public var count: Int { sorter.count }

  public func add(_ clip: RejectedClip) throws(DatasetError) {
    var line: [UInt8] = []
    appendEscapedLine([clip.id, clip.path, clip.reason], to: &line)
    try sorter.add(key: line, rest: [])
  }

  /// Writes the list to the file at `path`.
  public func finish(at path: String) throws(DatasetError) -> RejectedList {
    try sorter.sort()
    let file = try OutputFile.create(path + ".new")
    var first: [UInt8] = []
    appendEscapedLine(RejectedList.signature, to: &first)
    try file.write(first)
    try unsafe sorter.forEach { line, _ throws(DatasetError) in try unsafe file.write(line) }
    try file.place(at: path)
    return RejectedList(path: path, count: sorter.count)
  }
}
