// How a clip's file or folder is read: what it may cost, and what counts as whole. Recipes make these plain values, and
// `Video` keeps to them.

/// The limits within which a file is read. A file beyond one of them is refused with that reason.
public struct VideoRules: Hashable, Sendable {
  /// Pixels of a picture. No side is longer than 16,384 in any case.
  public var pixels: Int
  /// Packets of a video, and images of a folder.
  public var packets: Int
  /// Bytes of a file, or of all images of a folder together.
  public var bytes: UInt64
  /// Seconds of one thread's processor time, for loading a clip once, or for probing its file once.
  public var seconds: Double
  /// Whether a file that is cut off is taken as the shorter video that is there.
  public var acceptsTruncated: Bool
  /// The names of a folder's images that are frames of the clip; nil for whatever has a number.
  public var imageNames: ImageNameTemplate?

  public init(
    pixels: Int = 1 << 26, packets: Int = 4_000_000, bytes: UInt64 = 1 << 40, seconds: Double = 1800,
    acceptsTruncated: Bool = false, imageNames: ImageNameTemplate? = nil
  ) {
    self.pixels = pixels
    self.packets = packets
    self.bytes = bytes
    self.seconds = seconds
    self.acceptsTruncated = acceptsTruncated
    self.imageNames = imageNames
  }
}
