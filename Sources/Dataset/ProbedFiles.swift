// What earlier indexing found in each file, so that a file that did not change is not opened again. It is no part of
// the index: it knows times, which differ from host to host.
import Foundation
import Glibc
import Shared
import Synchronization

/// What probing the part of a file found that a row names.
public struct ProbedPart: Equatable, Sendable {
  public enum Outcome: Equatable, Sendable {
    case usable
    /// Why it cannot be used.
    case rejected(String)
  }

  public var stamp: FileStamp
  /// Whether every frame was decoded.
  public var isDeep: Bool
  public var outcome: Outcome
  /// Path, hash, frames and the like; its id and classes are those of no row.
  public var clip: ClipEntry

  public init(stamp: FileStamp, isDeep: Bool, outcome: Outcome, clip: ClipEntry) {
    self.stamp = stamp
    self.isDeep = isDeep
    self.outcome = outcome
    self.clip = clip
  }

  /// A part that cannot be used.
  public static func rejected(_ reason: String, hash: Digest128?, stamp: FileStamp, isDeep: Bool) -> ProbedPart {
    ProbedPart(
      stamp: stamp, isDeep: isDeep, outcome: .rejected(reason),
      clip: ClipEntry(
        id: "", path: "", labels: [0], bytes: stamp.bytes, hash: hash ?? Digest128(high: 0, low: 0), frames: 0))
  }

  /// Whether it says what probing would find now, without opening the file. A rejected one is also tried again when its
  /// permissions changed.
  public func holds(for stamp: FileStamp, deep: Bool) -> Bool {
    guard isDeep || !deep, self.stamp.bytes == stamp.bytes, self.stamp.modified == stamp.modified else { return false }
    return outcome == .usable || self.stamp.changed == stamp.changed
  }
}

/// The probed parts of all files, by file and part; mapped, not read.
public struct ProbedFiles: Sendable {
  static let factsBytes = ClipEntry.factsBytes + 32
  fileprivate static let rejected: UInt32 = 1
  fileprivate static let deep: UInt32 = 2

  private let rows: SortedRows
  private let lookups = Lookups()

  /// Counts what is looked up, so that the memory of what was looked at is given back now and then.
  private final class Lookups: Sendable {
    private let count = Atomic<Int>(0)

    var areMany: Bool { count.wrappingAdd(1, ordering: .relaxed).newValue % 65536 == 0 }
  }

  /// - Parameter rules: what besides the file decides what probing finds, such as FFmpeg's version.
  /// - Throws: `DatasetError` if the file is damaged, or was written under other rules.
  public init(_ path: String, rules: String) throws(DatasetError) {
    rows = try SortedRows(MappedBytes(file: path), format: Self.format, name: path)
    guard rows.bytes.text(rows.preamble) == rules else {
      throw DatasetError(.badData, "\(path): was written by another version or under other rules")
    }
  }

  static let format = RowFormat(
    magic: "tmrfiles", version: 1, factsBytes: factsBytes, remedy: "remove it: it only saves time")

  public var count: Int { rows.count }

  /// What is known of a part; nil if nothing is.
  public func part(_ key: String) -> ProbedPart? {
    if lookups.areMany { rows.release(before: rows.count) }
    return rows.number(of: key).flatMap { part($0) }
  }

  private func part(_ number: Int) -> ProbedPart? {
    let bytes = rows.bytes
    let at = rows.facts(number) + ClipEntry.factsBytes
    let marks: UInt32 = bytes.number(at: at + 24)
    guard ClipEntry.problem(rows, number, classes: 1) == nil else { return nil }
    var clip = ClipEntry(rows, number)
    let text = clip.path
    (clip.id, clip.path) = ("", "")
    return ProbedPart(
      stamp: FileStamp(
        bytes: bytes.number(at: at), modified: bytes.number(at: at + 8), changed: bytes.number(at: at + 16)),
      isDeep: marks & Self.deep != 0, outcome: marks & Self.rejected != 0 ? .rejected(text) : .usable, clip: clip)
  }

  /// Takes what a `Writer` kept at `part` before its process was killed into the file at `path`, which is made if there
  /// is none, and removes the former.
  public static func recover(_ part: String, into path: String, folder: String, rules: String) throws(DatasetError) {
    guard unsafe access(part, F_OK) == 0 else { return }
    let sorter = try RowSorter(folder: folder)
    let rows = SortedRowsWriter(format, preamble: Array(rules.utf8), sorter)
    try unsafe RowSorter.forEachRow(kept: part) { key, rest throws(DatasetError) in try unsafe rows.add(kept: key, rest)
    }
    let writer = Writer(rows, sorter)
    if let earlier = try? ProbedFiles(path, rules: rules) {
      for number in 0..<earlier.rows.count {
        if let known = earlier.part(number) { try writer.add(earlier.rows.key(number), known) }
      }
    }
    try writer.finish(at: path)
    unsafe unlink(part)
  }

  /// Writes what is known of files. It belongs to one thread at a time.
  public final class Writer {
    private let sorter: RowSorter
    private let rows: SortedRowsWriter
    private var unsaved = 0

    /// Parts that may be lost if this process is killed.
    private static let atRisk = 256

    /// - Parameters:
    ///   - rules: as of `ProbedFiles`.
    ///   - path: the file in which the parts wait until they are sorted. It outlives this process: see `recover`.
    public convenience init(rules: String, keeping path: String) throws(DatasetError) {
      let sorter = try RowSorter(keeping: path)
      self.init(SortedRowsWriter(ProbedFiles.format, preamble: Array(rules.utf8), sorter), sorter)
    }

    fileprivate init(_ rows: SortedRowsWriter, _ sorter: RowSorter) {
      self.rows = rows
      self.sorter = sorter
    }

    public func add(_ key: String, _ part: ProbedPart) throws(DatasetError) {
      var clip = part.clip
      clip.labels = [0]
      var facts = try clip.facts(classes: 1)
      facts.append(littleEndian: part.stamp.bytes)
      facts.append(littleEndian: part.stamp.modified)
      facts.append(littleEndian: part.stamp.changed)
      var marks = part.isDeep ? ProbedFiles.deep : 0
      var text = ""
      if case .rejected(let reason) = part.outcome {
        marks |= ProbedFiles.rejected
        text = reason
      }
      facts.append(littleEndian: marks)
      facts.append(littleEndian: UInt32(0))
      try rows.add(key: key, rest: clip.codec + text, facts: facts)
      unsaved += 1
      if unsaved >= Self.atRisk {
        try sorter.flush()
        unsaved = 0
      }
    }

    /// Writes the file at `path`. Of a part that was added twice, the first counts.
    public func finish(at path: String) throws(DatasetError) {
      let file = try OutputFile.create(path + ".new")
      try rows.write(to: file)
      try file.place(at: path)
    }
  }
}
