// What a recipe says of the files that its clips are in.
import Shared

extension Recipe {
  /// The rules by which clips are read, wherever they are: when they are indexed, packed, trained and shown.
  public var videoRules: VideoRules {
    VideoRules(
      pixels: data.clipPixels, packets: data.clipPackets, bytes: UInt64(clamping: data.clipBytes),
      seconds: data.clipSeconds, acceptsTruncated: data.acceptTruncated,
      imageNames: ImageNameTemplate(data.imageNames))
  }
}
