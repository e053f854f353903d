// The fingerprint of what decides the bits of decoded and scaled frames.
import CFFmpeg

public enum VideoFingerprint {
  /// Versions of FFmpeg's libraries.
  public static var entries: [String: String] {
    func text(_ version: UInt32) -> String { "\(version >> 16).\(version >> 8 & 255).\(version & 255)" }
    return [
      "avformat": text(avformat_version()), "avcodec": text(avcodec_version()), "swscale": text(swscale_version()),
    ]
  }
}
