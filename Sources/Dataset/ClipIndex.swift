// The index of a data set: every usable clip, with the facts that probing its file gave. Its bytes are those of
// `SortedRows`; `ClipIndex+Export.swift` writes it for people.
import Foundation
import Shared

/// The clips of a data set, sorted by id. Equal indices have equal bytes, and so equal digests, on every host.
///
/// The clips stay in their file; only those that are looked at take memory.
public struct ClipIndex: Sendable {
  static let format = RowFormat(
    magic: "tmrclips", version: 2, factsBytes: ClipEntry.factsBytes, remedy: "make it anew with 'coordinator index'")

  /// The names of the classes, by number.
  public let classes: [String]
  /// Sorted by the UTF-8 bytes of their ids. Everywhere else, a clip's number is its place here.
  public let clips: ClipEntries
  /// The first clip with several classes; nil if none has.
  public let firstWithSeveralClasses: Int?
  /// XXH3-128 of `encoded`: journaled, and the same on every host of a run.
  public var digest: Digest128 { clips.rows.digest }
  /// The bytes of the index's file, not copied.
  public var encoded: Data { clips.rows.bytes.data }

  /// Maps the index in the file at `path`.
  /// - Throws: `DatasetError` if the file cannot be read, is truncated or altered.
  public init(mapping path: String) throws(DatasetError) { try self.init(MappedBytes(file: path), name: path) }

  /// Maps the index in an open file, which may have no name.
  public init(descriptor: Int32, name: String) throws(DatasetError) {
    try self.init(MappedBytes(descriptor: descriptor, path: name), name: name)
  }

  /// - Parameter name: what errors call the index.
  /// - Throws: `DatasetError` if it is truncated or altered.
  public init(decoding data: Data, name: String = "index") throws(DatasetError) {
    try self.init(MappedBytes(memory: data), name: name)
  }

  /// A small index of clips that are in memory.
  /// - Throws: `DatasetError` if an id is repeated or a label is not the number of a class.
  public init(classes: [String], clips: [ClipEntry]) throws(DatasetError) {
    let folder = NSTemporaryDirectory()
    let writer = try ClipIndexWriter(classes: classes, folder: folder)
    for clip in clips { try writer.add(clip) }
    let file = try OutputFile.temporary(in: folder)
    try writer.write(to: file)
    try self.init(file.mapped(), name: "index")
  }

  init(_ bytes: MappedBytes, name: String) throws(DatasetError) {
    let rows = try SortedRows(bytes, format: Self.format, name: name)
    guard let classes = Self.classes(rows) else {
      throw DatasetError(.badData, "\(name): is damaged: its classes cannot be read; \(Self.format.remedy)")
    }
    var several: Int?
    for number in 0..<rows.count {
      if let problem = ClipEntry.problem(rows, number, classes: classes.count) {
        throw DatasetError(.badData, "\(name): is damaged: clip \(number): \(problem); \(Self.format.remedy)")
      }
      if several == nil, ClipEntry.hasSeveralClasses(rows, number) { several = number }
      if number % 65536 == 0 { rows.release(before: number) }
    }
    rows.release(before: rows.count)
    self.classes = classes
    clips = ClipEntries(rows: rows)
    firstWithSeveralClasses = several
  }

  /// The number of the clip with this id; nil if there is none.
  public func number(of id: String) -> Int? { clips.rows.number(of: id) }

  /// The names of a clip's classes, separated by `; `.
  public func names(of clip: ClipEntry) -> String { clip.labels.map { classes[$0] }.joined(separator: "; ") }

  /// Passes on each clip, in order, and gives the memory of those that it has passed back to the system.
  public func forEach<Problem: Error>(_ body: (Int, ClipEntry) throws(Problem) -> Void) throws(Problem) {
    for number in 0..<clips.count {
      try body(number, clips[number])
      if number % 65536 == 65535 { clips.rows.release(before: number) }
    }
    clips.rows.release(before: clips.count)
  }

  // MARK: Classes

  /// Each name is preceded by the number of its bytes.
  static func preamble(_ classes: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for name in classes {
      bytes.append(littleEndian: UInt32(truncatingIfNeeded: name.utf8.count))
      bytes.append(contentsOf: name.utf8)
    }
    return bytes
  }

  private static func classes(_ rows: SortedRows) -> [String]? {
    var classes: [String] = []
    var at = rows.preamble.lowerBound
    let end = rows.preamble.upperBound
    while at < end {
      guard end - at >= 4, case let count = Int(rows.bytes.number(at: at, as: UInt32.self)), count <= end - at - 4
      else { return nil }
      classes.append(rows.bytes.text(at + 4..<at + 4 + count))
      at += 4 + count
    }
    return classes
  }
}

extension ClipIndex: Equatable {
  public static func == (a: ClipIndex, b: ClipIndex) -> Bool { a.digest == b.digest && a.clips.count == b.clips.count }
}

/// The clips of an index, each read from the file when it is asked for.
public struct ClipEntries: RandomAccessCollection, Sendable {
  let rows: SortedRows

  public var startIndex: Int { 0 }
  public var endIndex: Int { rows.count }

  /// A clip, by its number.
  public subscript(number: Int) -> ClipEntry { ClipEntry(rows, number) }
}

/// Makes an index from clips that come in any order, in bounded memory. It belongs to one thread at a time.
public final class ClipIndexWriter {
  private let classes: Int
  private let rows: SortedRowsWriter

  /// - Parameter folder: where the clips wait until they are sorted.
  public init(classes: [String], folder: String) throws(DatasetError) {
    self.classes = classes.count
    rows = try SortedRowsWriter(ClipIndex.format, preamble: ClipIndex.preamble(classes), folder: folder)
  }

  /// Clips that were added.
  public var count: Int { rows.count }

  /// - Throws: `DatasetError` if its labels are not the numbers of classes, or it cannot be stored.
  public func add(_ clip: ClipEntry) throws(DatasetError) {
    try rows.add(key: clip.id, rest: clip.rest, facts: clip.facts(classes: classes))
  }

  func write(to file: OutputFile) throws(DatasetError) {
    try rows.write(to: file) { DatasetError(.badData, "the clip '\($0)' is twice in the index") }
  }

  /// Writes the index to the file at `path`, and maps it.
  /// - Throws: `DatasetError` if an id is repeated, or the file cannot be written.
  public func finish(at path: String) throws(DatasetError) -> ClipIndex {
    let file = try OutputFile.create(path + ".new")
    try write(to: file)
    try file.place(at: path)
    return try ClipIndex(mapping: path)
  }
}
