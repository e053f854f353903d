// The folder of a pack that is being made: what is done of it, so that packing goes on where it was killed.
import Dataset
import Foundation
import Glibc
import Shared

/// What a finished shard holds, and what was left out since the one before. It is written before the shard gets its
/// name.
struct ShardRecord: Codable, Sendable {
  struct Clip: Codable, Sendable {
    let id: String
    let labels: [Int]
    let offset: UInt64
    let bytes: UInt64
    let hash: Digest128
    let frames: Int
    let width: Int
    let height: Int
    let frameRate: Double
    let codec: String
    let isProved: Bool
    let head: UInt8
    let isCopy: Bool
  }

  struct Rejected: Codable, Sendable {
    let id: String
    let path: String
    let reason: String
  }

  /// Nil where all clips up to `end` were left out.
  var shard: PackManifest.Shard?
  /// The place in the list's order of the first clip that does not belong to it.
  var end: Int
  var clips: [Clip] = []
  var rejected: [Rejected] = []
}

/// A folder that this process alone packs into.
final class PackFolder {
  let path: String
  private let lock: Int32
  /// What is there until the pack is whole.
  var state: String { "\(path)/packing" }
  private var planFile: String { "\(state)/plan.json" }

  /// What a pack is made of and how. Packing goes on only where it is the same.
  struct Plan: Codable, Equatable {
    var settings: [String: String]
  }

  /// - Throws: `DatasetError` if another process packs into it, or it cannot be made.
  init(_ path: String) throws(DatasetError) {
    self.path = path
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw DatasetError(.ioError, "\(path): cannot be made; check the permissions and the space left on its disk")
    }
    lock = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard lock >= 0 else { throw .system("cannot be opened", path) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      throw DatasetError(
        .unavailable, "\(path): another process packs into this folder; wait for it, or give another folder")
    }
  }

  deinit { close(lock) }

  /// Begins, or goes on.
  /// - Returns: false if the pack is whole.
  /// - Throws: `DatasetError` if the folder holds something else, or what is there was made of other clips or
  ///   otherwise.
  func begin(_ settings: [String: String]) throws(DatasetError) -> Bool {
    if let manifest = try PackManifest(in: path) {
      try refuse(settings, manifest.settings, "is a pack")
      // Killed between the manifest and this.
      try? FileManager.default.removeItem(atPath: state)
      return false
    }
    let plan = FileManager.default.contents(atPath: planFile)
    if let plan {
      guard let before = try? JSONDecoder().decode(Plan.self, from: plan) else {
        throw DatasetError(.badData, "\(planFile): is damaged; remove \(path), and pack anew")
      }
      try refuse(settings, before.settings, "was begun")
      return true
    }
    let other = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { $0 != "packing" }.min()
    if let other {
      throw DatasetError(.usage, "\(path): holds '\(other)', which is no pack's; give an empty folder, or a new one")
    }
    do { try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true) } catch {
      throw DatasetError(.ioError, "\(state): cannot be made; check the permissions and the space left on its disk")
    }
    try DurableFile.write(try encoded(Plan(settings: settings)), to: planFile)
    return true
  }

  private func refuse(_ now: [String: String], _ before: [String: String], _ verb: String) throws(DatasetError) {
    let names = Set(now.keys).union(before.keys).sorted().filter { now[$0] != before[$0] }
    if names.isEmpty { return }
    let differences = names.map { "\($0) was \(before[$0] ?? "not set"), is now \(now[$0] ?? "not set")" }
    throw DatasetError(
      .badConfiguration,
      "\(path): \(verb) with other clips or settings: \(differences.joined(separator: "; ")); give these again, or another "
        + "folder")
  }

  // MARK: Shards

  static func name(_ list: String, _ number: Int) -> String {
    let digits = String(number)
    return "\(list)-" + String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits + ".tar"
  }

  private func recordFile(_ list: String, _ number: Int) -> String { "\(state)/\(Self.name(list, number)).json" }

  /// The n-th finished shard of a list; nil if it is not finished.
  func record(_ list: String, _ number: Int) throws(DatasetError) -> ShardRecord? {
    let path = recordFile(list, number)
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    guard let record = try? JSONDecoder().decode(ShardRecord.self, from: data) else {
      throw DatasetError(.badData, "\(path): is damaged; remove it, and give the same command again")
    }
    guard let shard = record.shard else { return record }
    var status = stat()
    // It may have been killed between the record and the shard's name.
    let isThere = unsafe stat("\(self.path)/\(shard.name)", &status) == 0
    return isThere && UInt64(exactly: status.st_size) == shard.bytes ? record : nil
  }

  func write(_ record: ShardRecord, _ list: String, _ number: Int) throws(DatasetError) {
    try DurableFile.write(try encoded(record), to: recordFile(list, number))
  }

  func encoded(_ value: some Encodable) throws(DatasetError) -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do { return try encoder.encode(value) + Data("\n".utf8) } catch {
      throw DatasetError(.failed, "\(path): cannot be described: \(error)")
    }
  }

  // MARK: The end

  /// Writes the manifest, after which the pack is whole.
  func finish(settings: [String: String], prober: String, shards: [PackManifest.Shard], files: [String])
    throws(DatasetError)
  {
    var described: [PackManifest.File] = []
    for name in files {
      let found = try unsafe SHA256Stream.ofFile("\(path)/\(name)")
      described.append(PackManifest.File(name: name, bytes: found.bytes, sha256: found.sha256))
    }
    let manifest = PackManifest(settings: settings, prober: prober, shards: shards, files: described)
    try DurableFile.write(try encoded(manifest), to: "\(path)/\(PackManifest.name)")
    try? FileManager.default.removeItem(atPath: state)
  }
}
