// Writes the shards of one list, clip after clip.
import Dataset
import Foundation
import Shared
import Video

/// The limits of a shard. It ends before the clip that would exceed one of them, and holds at least one clip.
public struct ShardLimits: Sendable {
  public var bytes: Int
  public var clips: Int

  public init(bytes: Int = 256 << 20, clips: Int = .max) {
    self.bytes = bytes
    self.clips = clips
  }
}

/// It belongs to one thread.
final class ShardWriter {
  private let folder: PackFolder
  private let list: String
  private let classes: [String]
  private let limits: ShardLimits
  /// The shard that is being written; how many are finished.
  private(set) var number: Int
  private var file: DurableFile?
  private var record = ShardRecord(end: 0)

  init(_ folder: PackFolder, _ list: String, classes: [String], _ limits: ShardLimits, number: Int) {
    (self.folder, self.list, self.classes, self.limits, self.number) = (folder, list, classes, limits, number)
  }

  /// - Parameter place: of the clip in the list's order.
  func add(_ clip: ClipEntry, _ packed: PackedClip, at place: Int) throws(DatasetError) {
    let members = try members(clip, packed)
    let size = members.reduce(0) { $0 + $1.header.count + $1.bytes.count + TarMembers.padding($1.bytes.count).count }
    if let file, file.count + size + TarMembers.end.count > limits.bytes || record.clips.count >= limits.clips {
      try close(before: place)
    }
    let file: DurableFile
    if let open = self.file {
      file = open
    } else {
      file = try DurableFile("\(folder.path)/\(PackFolder.name(list, number))")
    }
    self.file = file
    let offset = file.count + members[0].header.count
    for member in members {
      try file.write(member.header)
      try file.write(member.bytes)
      try file.write(TarMembers.padding(member.bytes.count))
    }
    record.clips.append(
      ShardRecord.Clip(
        id: clip.id, labels: clip.labels, offset: UInt64(offset), bytes: UInt64(packed.bytes.count), hash: packed.hash,
        frames: packed.frames, width: packed.width, height: packed.height, frameRate: packed.frameRate,
        codec: packed.codec, isProved: packed.isProved, head: packed.head?.code ?? 0, isCopy: packed.isCopy))
  }

  func leaveOut(_ clip: ClipEntry, _ reason: String) {
    record.rejected.append(ShardRecord.Rejected(id: clip.id, path: clip.path, reason: reason))
  }

  /// Finishes the shard: makes it durable, notes what is in it, and gives it its name.
  /// - Parameter place: of the first clip in the list's order that does not belong to it.
  func close(before place: Int) throws(DatasetError) {
    guard file != nil || !record.rejected.isEmpty else { return }
    record.end = place
    if let file {
      try file.write(TarMembers.end)
      let sha256 = try file.end()
      record.shard = PackManifest.Shard(
        name: PackFolder.name(list, number), bytes: UInt64(file.count), sha256: sha256, list: list,
        clips: record.clips.count)
    }
    try folder.write(record, list, number)
    try file?.place()
    file = nil
    record = ShardRecord(end: place)
    number += 1
  }

  /// What a sample's `.json` says of its clip.
  private struct Description: Encodable {
    let id: String
    let label: OneOrSeveral<Int>
    let className: OneOrSeveral<String>
    let frames: Int
    let frameRate: Double
    let width: Int
    let height: Int

    enum CodingKeys: String, CodingKey {
      case id, label, frames, width, height
      case className = "class"
      case frameRate = "frame_rate"
    }
  }

  /// A clip's class, or the list of its classes.
  private struct OneOrSeveral<Value: Encodable>: Encodable {
    let values: [Value]

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      if values.count == 1 { try container.encode(values[0]) } else { try container.encode(values) }
    }
  }

  /// The video, the numbers of its classes, and what it is.
  private func members(_ clip: ClipEntry, _ packed: PackedClip) throws(DatasetError) -> [(header: Data, bytes: Data)] {
    let key = TarMembers.key(clip.id)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let description = Description(
      id: clip.id, label: OneOrSeveral(values: clip.labels),
      className: OneOrSeveral(values: clip.labels.map { classes[$0] }), frames: packed.frames,
      frameRate: packed.frameRate, width: packed.width, height: packed.height)
    guard let json = try? encoder.encode(description) else {
      throw DatasetError(.failed, "the clip '\(clip.id)' cannot be described")
    }
    let labels = clip.labels.map(String.init).joined(separator: " ")
    return [("mp4", packed.bytes), ("cls", Data(labels.utf8)), ("json", json)].map { kind, bytes in
      (TarMembers.header("\(key).\(kind)", size: bytes.count), bytes)
    }
  }
}
