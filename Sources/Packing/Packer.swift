// Makes a pack of the clips of two indexes: shards of small videos, with an index of their own inside.
import Dataset
import Foundation
import Glibc
import Shared
import Video

/// Makes a pack. The same clips and settings give the same bytes, whatever the threads, and however often it was
/// killed.
public struct Packer: Sendable {
  /// A list of clips.
  public struct List: Sendable {
    /// `train` or `validation`.
    public let name: String
    public let index: ClipIndex
    /// Clips that indexing left out.
    public let rejected: RejectedList
    /// The folder that the clips' paths are relative to, in the data folder.
    public let videos: String

    public init(name: String, index: ClipIndex, rejected: RejectedList, videos: String) {
      (self.name, self.index, self.rejected, self.videos) = (name, index, rejected, videos)
    }
  }

  public struct Progress: Sendable {
    public var list: String
    public var done: Int
    public var total: Int
    /// Clips that were packed before, when this was killed.
    public var before: Int
    public var rejected: Int
    /// Bytes that were packed now.
    public var bytes: Int
  }

  /// What became of the lists.
  public struct Outcome: Sendable {
    /// Whether the pack was whole already.
    public var wasWhole = false
    public var clips = 0
    public var copies = 0
    public var bytes: UInt64 = 0
    public var shards = 0
    public var rejected = 0
  }

  public var folder: String
  /// The data folder.
  public var data: String
  public var lists: [List]
  public var packing: ClipPacking
  public var limits: ShardLimits
  /// Orders the training clips.
  public var seed: UInt64
  public var rules: VideoRules
  /// As the manifest names it.
  public var prober: String
  public var threads: Int = ProcessInfo.processInfo.activeProcessorCount
  /// Between tries of a file that cannot be read: a minute in all.
  var waits: [Duration] = [
    .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(30),
  ]
  public var progress: @Sendable (Progress) -> Void = { _ in }
  /// Shows a line to the user.
  public var say: @Sendable (String) -> Void = { _ in }

  public init(
    folder: String, data: String, lists: [List], packing: ClipPacking, limits: ShardLimits, seed: UInt64,
    rules: VideoRules, prober: String
  ) {
    (self.folder, self.data, self.lists, self.packing) = (folder, data, lists, packing)
    (self.limits, self.seed, self.rules, self.prober) = (limits, seed, rules, prober)
  }

  /// What decides the pack's bytes, by names that a message can use.
  var settings: [String: String] {
    var settings = [
      "short side": "\(packing.shortSide)", "quality": "\(packing.quantiser)",
      "copy": packing.copies ? "fitting" : "never",
      "shard bytes": "\(limits.bytes)", "clips per shard": limits.clips == .max ? "any" : "\(limits.clips)",
      "seed": "\(seed)", "FFmpeg": ClipPacking.fingerprint, "prober": prober.replacingOccurrences(of: "\n", with: ", "),
    ]
    for list in lists { settings["\(list.name) clips"] = list.index.digest.description }
    return settings
  }

  /// Packs what is not packed yet. Blocks, and computes on threads of its own.
  /// - Throws: `DatasetError` if the folder holds something else or was begun otherwise, a file cannot be read, or the
  ///   pack cannot be written.
  public func run() throws -> Outcome {
    let folder = try PackFolder(folder)
    var outcome = Outcome()
    guard try folder.begin(settings) else {
      outcome.wasWhole = true
      return outcome
    }
    guard ClipPacking.canEncode else {
      throw DatasetError(.unavailable, "this FFmpeg has no encoder libx264, without which nothing can be packed")
    }
    var shards: [PackManifest.Shard] = []
    var files: [String] = []
    for list in lists {
      let count = try pack(list, folder)
      files += try finish(list, folder, count) { record in
        if let shard = record.shard { shards.append(shard) }
        outcome.clips += record.clips.count
        outcome.copies += record.clips.count(where: \.isCopy)
        outcome.rejected += record.rejected.count
      }
    }
    outcome.shards = shards.count
    outcome.bytes = shards.reduce(0) { $0 + $1.bytes }
    let labels = try folder.encoded(lists.first?.index.classes ?? [])
    try DurableFile.write(labels, to: "\(folder.path)/\(Pack.labels)")
    try folder.finish(settings: settings, prober: prober, shards: shards, files: [Pack.labels] + files)
    return outcome
  }

  // MARK: A list

  private enum Made: Sendable {
    case packed(PackedClip)
    case rejected(String)
  }

  /// - Returns: how many shards, or records of clips that were left out, the list has.
  private func pack(_ list: List, _ folder: PackFolder) throws -> Int {
    var (finished, start, rejected) = (0, 0, 0)
    while let record = try folder.record(list.name, finished) {
      (finished, start, rejected) = (finished + 1, record.end, rejected + record.rejected.count)
    }
    let clips = list.index.clips
    // Other programs read shards from their beginning, and want the classes mixed.
    let order =
      list.name == "train"
      ? EpochOrder(seed: seed, epoch: 0, count: clips.count).clips : (0..<UInt32(clamping: clips.count)).map { $0 }
    start = min(max(0, start), order.count)
    let writer = ShardWriter(folder, list.name, classes: list.index.classes, limits, number: finished)
    var now = Progress(
      list: list.name, done: start, total: order.count, before: start, rejected: rejected, bytes: 0)
    let checked = CheckedFiles()
    try InOrder<Made>.forEach(start..<order.count, threads: max(1, threads)) { place in
      try make(clips[Int(order[place])], list, checked)
    } use: { place, made in
      let clip = clips[Int(order[place])]
      switch made {
      case .packed(let packed) where packed.bytes.count <= TarMembers.mostBytes:
        try writer.add(clip, packed, at: place)
        now.bytes += packed.bytes.count
      case .packed(let packed):
        writer.leaveOut(clip, "its \(packed.bytes.count) bytes are more than a tar archive's header can say")
        now.rejected += 1
      case .rejected(let reason):
        writer.leaveOut(clip, reason)
        now.rejected += 1
      }
      now.done += 1
      progress(now)
    }
    try writer.close(before: order.count)
    return writer.number
  }

  private func make(_ clip: ClipEntry, _ list: List, _ checked: CheckedFiles) throws -> Made {
    let path = clipPath(data: data, videos: list.videos, path: clip.path)
    let file = "\(path)\n\(clip.offset)"
    let request = ClipRequest(
      path: path, range: clip.bytesInShard, first: clip.first, frames: clip.frames, isProved: clip.isProved,
      head: FileHead(code: clip.head), clip: 0, expectedBytes: clip.bytes, expectedHash: clip.hash)
    var tries = 0
    while true {
      do {
        let packed = try packing.pack(
          request, frameRate: Double(clip.frameRate), isChecked: checked.contains(file), rules: rules)
        checked.insert(file)
        return .packed(packed)
      } catch let error as VideoError where error.status == .badData {
        return .rejected(error.description)
      } catch let error as VideoError {
        guard error.errorNumber != nil, tries < waits.count else {
          throw DatasetError(
            error.status == .badData ? .ioError : error.status,
            "\(path): \(error.cause); see to the file or the disk, and give the same command again, which goes on where it "
              + "was")
        }
        if tries == 0 { say("\(path): cannot be read at the moment (\(error.cause)); trying again") }
        sleepThread(for: waits[tries])
        tries += 1
      }
    }
  }

  /// Writes a list's index, and the clips that it lacks, from the records of its shards.
  /// - Returns: the files' names in the pack.
  private func finish(
    _ list: List, _ folder: PackFolder, _ count: Int, _ each: (ShardRecord) -> Void
  ) throws -> [String] {
    let index = Pack.indexName(list.name)
    let rejected = Pack.rejectedName(list.name)
    do {
      try FileManager.default.createDirectory(atPath: "\(folder.path)/index", withIntermediateDirectories: true)
    } catch {
      throw DatasetError(.ioError, "\(folder.path)/index: cannot be made; check the permissions and the space left")
    }
    let writer = try ClipIndexWriter(classes: list.index.classes, folder: folder.state)
    let leftOut = try RejectedListWriter(folder: folder.state)
    try list.rejected.forEach { try leftOut.add($0) }
    for number in 0..<count {
      guard let record = try folder.record(list.name, number) else {
        throw DatasetError(
          .ioError, "\(folder.path): shard \(number) of \(list.name) is gone; give the same command again")
      }
      each(record)
      for clip in record.clips {
        try writer.add(
          ClipEntry(
            id: clip.id, path: record.shard?.name ?? "", labels: clip.labels, bytes: clip.bytes, hash: clip.hash,
            offset: clip.offset, frames: clip.frames, isProved: clip.isProved, head: clip.head, width: clip.width,
            height: clip.height,
            frameRate: Float(clip.frameRate), codec: clip.codec))
      }
      for clip in record.rejected {
        try leftOut.add(RejectedClip(id: clip.id, path: clip.path, reason: "cannot be packed: \(clip.reason)"))
      }
    }
    _ = try writer.finish(at: "\(folder.path)/\(index)")
    _ = try leftOut.finish(at: "\(folder.path)/\(rejected)")
    return [index, rejected]
  }
}

/// Files whose size and hash were found to be as they were indexed. Many clips may be parts of one.
///
/// Sendable because the lock guards the set.
private final class CheckedFiles: @unchecked Sendable {
  private let lock = NSLock()
  private var files: Set<String> = []

  func contains(_ file: String) -> Bool { lock.withLock { files.contains(file) } }

  func insert(_ file: String) { lock.withLock { _ = files.insert(file) } }
}
