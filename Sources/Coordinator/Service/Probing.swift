// What the index asks of lists and files: the one place that knows how `Dataset` names a row's part of a file and how
// `Video` probes one.
import Dataset
import Foundation
import Recipes
import Shared
import Video

/// A row of a list, whose class and file are known.
struct IndexRow: Sendable {
  let id: String
  /// Relative to the list's videos folder.
  let path: String
  let labels: [Int]
  let part: ClipPart
  /// The part of a shard that holds the file.
  let range: Range<UInt64>?
}

extension IndexRow {
  init(_ candidate: ClipCandidate) {
    self.init(
      id: candidate.id, path: candidate.path, labels: candidate.labels, part: candidate.part, range: candidate.bytes)
  }

  func isOfSameFile(as other: IndexRow) -> Bool {
    // By bytes: to Swift, names that differ may be equal.
    path.utf8.elementsEqual(other.path.utf8) && range?.lowerBound == other.range?.lowerBound
  }
}

/// The rows of a list, each made where it is looked at: ten million would be gigabytes.
struct IndexRows: Sendable {
  let row: @Sendable (Int) -> IndexRow
  /// The rows' numbers in the order of their files: those of one file follow one another.
  let order: [UInt32]

  var count: Int { order.count }

  init(_ candidates: CandidateList) {
    row = { IndexRow(candidates[$0]) }
    order = candidates.orderOfFiles
  }

  /// The clips of an index, to be probed again.
  /// - Parameter path: where the file of a clip is, relative to the videos folder.
  init(_ clips: ClipEntries, path: @escaping @Sendable (String) -> String) {
    row = { number in
      let clip = clips[number]
      return IndexRow(id: clip.id, path: path(clip.path), labels: clip.labels, part: .whole, range: clip.bytesInShard)
    }
    order = clips.orderOfFiles
  }

  /// A few rows.
  init(_ rows: [IndexRow]) {
    row = { rows[$0] }
    order = (0..<UInt32(rows.count)).sorted {
      let (a, b) = (rows[Int($0)], rows[Int($1)])
      return isEarlierFile(
        a.path.utf8, a.range?.lowerBound ?? 0, than: b.path.utf8, b.range?.lowerBound ?? 0)
    }
  }
}

/// What probing a file found.
struct ProbedVideo: Sendable {
  var frames: Int
  var width: Int
  var height: Int
  /// Seconds; 0 if the file does not say.
  var duration: Double
  /// Frames a second; 0 if the file does not say.
  var frameRate: Double
  var codec: String
  var bytes: UInt64
  var hash: Digest128
  var isProved: Bool
  var head: FileHead?
  /// The numbers in the names of a folder's images; empty for a file.
  var imageNumbers: [Int] = []
  /// The frames that are shown from one second to before another.
  var shown: @Sendable (Double, Double) -> Range<Int>
}

extension ProbedVideo {
  /// - Throws: `VideoError` if the file cannot be used.
  init(_ path: String, range: Range<UInt64>?, deep: Bool, rules: VideoRules, decoders: DecodingPool) throws {
    let probed = try decoders.probe(path, range: range, deep: deep, rules: rules)
    self.init(
      frames: probed.frames, width: probed.width, height: probed.height, duration: probed.duration,
      frameRate: probed.frameRate, codec: probed.codec, bytes: probed.bytes, hash: probed.hash,
      isProved: probed.isProved, head: probed.head, imageNumbers: probed.imageNumbers
    ) { probed.frames(from: $0, to: $1) }
  }

  /// What besides a file decides what probing it finds. Where it changes, every file is probed again.
  static func rules(_ recipe: Recipe) -> String {
    // Without a template, as before there were any, so that older indexes are still known.
    "\(recipe.videoRules)".replacingOccurrences(of: ", imageNames: nil", with: "") + "\n\(prober)"
  }

  /// The same without the recipe's limits.
  static var prober: String {
    (["prober 3"] + VideoFingerprint.entries.map { "\($0.key) \($0.value)" }.sorted()).joined(separator: "\n")
  }
}
