// A whole pack, to be read: its indexes, and whether its files are as they were written.
import Dataset
import Foundation
import Glibc
import Shared

/// A whole pack.
public struct Pack: Sendable {
  public let folder: String
  public let manifest: PackManifest

  static let lists = ["train", "validation"]
  static let labels = "labels.json"
  static func indexName(_ list: String) -> String { "index/\(list).clips" }
  static func rejectedName(_ list: String) -> String { "rejected-\(list).tsv" }

  /// The pack in `folder`; nil if there is none.
  /// - Throws: `DatasetError` if its manifest cannot be read.
  public init?(in folder: String) throws(DatasetError) {
    guard let manifest = try PackManifest(in: folder) else { return nil }
    (self.folder, self.manifest) = (folder, manifest)
  }

  /// The clips of `train` or `validation`. Their paths are names of shards.
  /// - Throws: `DatasetError` if the index is damaged.
  public func index(_ list: String) throws(DatasetError) -> ClipIndex {
    try ClipIndex(mapping: "\(folder)/\(Self.indexName(list))")
  }

  /// Looks at the size of each file.
  /// - Throws: `DatasetError` naming one that is missing or has another size.
  public func checkSizes() throws(DatasetError) {
    for (name, bytes) in manifest.shards.map({ ($0.name, $0.bytes) }) + manifest.files.map({ ($0.name, $0.bytes) }) {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard unsafe stat(path, &status) == 0 else { throw .system("is missing from the pack", path) }
      guard UInt64(exactly: status.st_size) == bytes else {
        throw DatasetError(
          .badData,
          "\(path): has \(status.st_size) bytes, and the pack's manifest says \(bytes): an incomplete copy? Copy it again, "
            + "or see 'coordinator pack --verify'")
      }
    }
  }

  /// Reads every byte.
  /// - Parameter progress: is told how many bytes were read, of how many.
  /// - Returns: a line for each file and each clip that is not as it was packed.
  public func verify(progress: (UInt64, UInt64) -> Void = { _, _ in }) -> [String] {
    let total = manifest.shards.map(\.bytes).reduce(0, &+) &+ manifest.files.map(\.bytes).reduce(0, &+)
    var done: UInt64 = 0
    var problems: [String] = []
    for file in manifest.files {
      problems += Self.problems("\(folder)/\(file.name)", file.bytes, file.sha256)
      done &+= file.bytes
    }
    for shard in manifest.shards {
      let path = "\(folder)/\(shard.name)"
      let found = Self.problems(path, shard.bytes, shard.sha256) { progress(min(total, done &+ $0), total) }
      problems += found
      if !found.isEmpty { problems += badClips(shard) }
      done &+= shard.bytes
    }
    return problems
  }

  private static func problems(
    _ path: String, _ bytes: UInt64, _ sha256: String, _ progress: (UInt64) -> Void = { _ in }
  ) -> [String] {
    do {
      let found = try unsafe SHA256Stream.ofFile(path) { progress($1) }
      if found.bytes != bytes { return ["\(path): has \(found.bytes) bytes, not \(bytes)"] }
      return found.sha256 == sha256 ? [] : ["\(path): its contents have changed"]
    } catch { return [error.description] }
  }

  /// The clips of a shard whose bytes have changed. Where there is none, headers or labels have.
  private func badClips(_ shard: PackManifest.Shard) -> [String] {
    let path = "\(folder)/\(shard.name)"
    guard let file = FileHandle(forReadingAtPath: path), let clips = try? index(shard.list) else { return [] }
    defer { try? file.close() }
    var bad: [ClipEntry] = []
    clips.forEach { _, clip in
      guard clip.path == shard.name else { return }
      let bytes = (try? file.seek(toOffset: clip.offset)).flatMap {
        try? file.read(upToCount: Int(clamping: clip.bytes))
      }
      if bytes.map({ Digest128(of: $0) }) != clip.hash { bad.append(clip) }
    }
    return bad.sorted { $0.offset < $1.offset }.map { "\(path): the video of clip '\($0.id)' has changed" }
  }
}
