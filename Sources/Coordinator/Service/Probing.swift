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
  let label: Int
  let part: ClipPart
  /// The part of a shard that holds the file.
  let range: Range<UInt64>?
}

extension IndexRow {
  // TODO(merge A): part and range become the candidate's own.
  init(_ candidate: ClipCandidates.Candidate) {
    self.init(id: candidate.id, path: candidate.path, label: candidate.label, part: .whole, range: nil)
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
  /// The frames that are shown from one second to before another.
  var shown: @Sendable (Double, Double) -> Range<Int>
}

extension ProbedVideo {
  /// - Throws: `VideoError` if the file cannot be used.
  // TODO(merge C): range, frameRate, codec, isProved and frames(from:to:) become the prober's own.
  init(_ path: String, range: Range<UInt64>?, deep: Bool) throws {
    let probed = try ClipProbe.probe(path, deep: deep)
    let rate = probed.duration > 0 ? Double(probed.frames) / probed.duration : 0
    let frames = probed.frames
    self.init(
      frames: frames, width: probed.width, height: probed.height, duration: probed.duration, frameRate: rate, codec: "",
      bytes: probed.bytes, hash: probed.hash, isProved: probed.doubt == nil
    ) { from, to in
      /// The first frame that is shown at this time or later.
      func frame(at seconds: Double) -> Int {
        Int(exactly: (seconds * rate - 1e-6).rounded(.up).clamped(to: 0...Double(frames))) ?? frames
      }
      return frame(at: from)..<max(frame(at: from), frame(at: to))
    }
  }

  /// What besides a file decides what probing it finds. Where it changes, every file is probed again.
  static func rules(_ recipe: Recipe) -> String {
    // TODO(merge C): the limits of the recipe, data.accept_truncated, and the version of the prober.
    (["prober 1"] + VideoFingerprint.entries.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })
      .joined(separator: "\n")
  }
}

/// The number in the name of the first image of a folder: `img_00001.jpg` is number 1; 0 for a file.
func firstImageNumber(_ path: String) -> Int {
  guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return 0 }
  return names.compactMap { name in
    let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name[...]
    return Int(String(stem.reversed().prefix { $0.isASCII && $0.isNumber }.reversed()))
  }.min() ?? 0
}

extension Double {
  fileprivate func clamped(to limits: ClosedRange<Double>) -> Double {
    min(max(self, limits.lowerBound), limits.upperBound)
  }
}
