// Probes a video file for the index: its facts, or the reason why it cannot be used.
import Shared

/// A usable video file.
public struct ProbedClip: Hashable, Sendable {
  /// Frames as training counts them.
  public var frames: Int
  /// Pixels as displayed.
  public var width: Int
  public var height: Int
  /// Seconds, as the file claims; 0 if it does not say.
  public var duration: Double
  public var bytes: UInt64
  /// XXH3-128 of the file.
  public var hash: Digest128
  /// Why frames must be found by decoding and counting all of them; nil if timestamps find them.
  public var doubt: String?
}

public enum ClipProbe {
  /// Probes a file.
  /// - Parameter deep: whether to decode every frame. Otherwise packets are read, and decoded only if timestamps cannot
  ///   be trusted.
  /// - Throws: `VideoError` if the file cannot be used.
  public static func probe(_ path: String, deep: Bool) throws -> ProbedClip {
    let video = try VideoFile(path: path)
    let frames = try video.frameCount()
    if deep { _ = try video.decodeEveryFrame() }
    let (bytes, hash) = try FileFacts.hash(path)
    return ProbedClip(
      frames: frames, width: video.width, height: video.height, duration: video.duration, bytes: bytes, hash: hash,
      doubt: video.doubt)
  }
}
