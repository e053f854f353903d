// Probes a clip's file or folder for the index: its facts, or the reason why it cannot be used.
import CFFmpeg
import Shared

/// A usable video file, or folder of images.
public struct ProbedClip: Hashable, Sendable {
  /// Frames as training counts them.
  public var frames: Int
  /// Pixels as displayed.
  public var width: Int
  public var height: Int
  /// Seconds, as the file claims; 0 if it does not say.
  public var duration: Double
  /// Frames in a second; 0 if the file does not say.
  public var frameRate: Double
  /// FFmpeg's name of the codec.
  public var codec: String
  public var bytes: UInt64
  /// XXH3-128 of the file, or of all images in order.
  public var hash: Digest128
  /// Whether frames may be found by entering the file at its key frames: proved for this file.
  public var isProved: Bool
  /// What opening the file again can do without; nil if nothing.
  public var head: FileHead?
  /// Why it is decoded from its beginning instead; nil if it is proved.
  public var doubt: String?
  /// Seconds from the first frame to each frame; empty if the file has no timestamps.
  public var times: [Double]
  /// The numbers in the names of a folder's images; empty for a file.
  public var imageNumbers: [Int]

  /// The second at which the last frame ends, counted from the first frame; nil if nothing tells.
  public var end: Double? {
    guard let last = times.last else { return duration > 0 ? duration : nil }
    // Else as long as the frame before it.
    guard let length = frameRate > 0 ? 1 / frameRate : times.dropLast().last.map({ last - $0 }) else {
      return duration > 0 ? duration : nil
    }
    return ((last + length) * 1e6).rounded() / 1e6
  }

  /// The frames from one second up to another, both counted from the first frame.
  /// - Returns: positions in 0..<frames; empty if there is none, or neither timestamps nor a frame rate tell.
  public func frames(from: Double, to: Double) -> Range<Int> {
    // A row says 2.1 for a frame at 2.1000001.
    let slack = 1e-3
    let start: Int
    let end: Int
    if !times.isEmpty {
      start = times.firstIndex { $0 >= from - slack } ?? frames
      end = times.firstIndex { $0 >= to - slack } ?? frames
    } else {
      let rate = frameRate > 0 ? frameRate : duration > 0 ? Double(frames) / duration : 0
      guard rate > 0 else { return 0..<0 }
      func position(_ second: Double) -> Int {
        let exact = (second - slack) * rate
        return exact > 0 ? Int(exactly: min(Double(frames), exact).rounded(.up)) ?? frames : 0
      }
      (start, end) = (position(from), position(to))
    }
    return start < end ? start..<end : 0..<0
  }

  /// The frames whose images have the numbers `first` to `last`, both included.
  /// - Returns: positions in 0..<frames; nil if one of the images is missing.
  public func frames(numbered first: Int, through last: Int) -> Range<Int>? {
    guard first <= last, let start = imageNumbers.firstIndex(of: first), let end = imageNumbers.firstIndex(of: last)
    else { return nil }
    let (distance, overflow) = last.subtractingReportingOverflow(first)
    return !overflow && end - start == distance ? start..<end + 1 : nil
  }
}

public enum ClipProbe {
  /// Probes a file, or a folder of images.
  /// - Parameters:
  ///   - range: the bytes of a shard that are the clip's file; nil for all.
  ///   - deep: whether to decode every frame. Otherwise packets are read, and decoded only if their headers do not
  ///     prove that frames can be found by entering at key frames.
  /// - Throws: `VideoError` if it cannot be used; with the status `.ioError` if it may be tried again.
  public static func probe(
    _ path: String, range: Range<UInt64>? = nil, deep: Bool, rules: VideoRules = VideoRules(),
    progress: DecodeProgress? = nil
  ) throws -> ProbedClip {
    if range == nil, ImageFolder.isFolder(path) { return try probeFolder(path, deep, rules, progress) }
    let file = try ClipFile(path: path, range: range)
    let video = try VideoFile(file, rules: rules, progress: progress)
    try video.prove(deep: deep)
    let frames = try video.frameCount()
    return ProbedClip(
      frames: frames, width: video.width, height: video.height, duration: video.duration, frameRate: video.frameRate,
      codec: video.codec, bytes: file.size, hash: try file.hash(progress), isProved: video.isProved,
      head: video.head, doubt: video.doubt, times: video.times(), imageNumbers: [])
  }

  private static func probeFolder(
    _ path: String, _ deep: Bool, _ rules: VideoRules, _ progress: DecodeProgress?
  ) throws -> ProbedClip {
    let folder = try ImageFolder(path: path, rules: rules, progress: progress)
    var (width, height) = (0, 0)
    // Each image may have a size of its own; the first one stands for all.
    try folder.decode(deep ? Array(folder.images.indices) : [0]) { position, frame in
      if position == 0 { (width, height) = (frame.width, frame.height) }
    }
    let (bytes, hash) = try folder.hash()
    return ProbedClip(
      frames: folder.images.count, width: width, height: height, duration: 0, frameRate: 0, codec: "images",
      bytes: bytes, hash: hash, isProved: true, head: nil, doubt: nil, times: [],
      imageNumbers: folder.images.map(\.number))
  }
}
