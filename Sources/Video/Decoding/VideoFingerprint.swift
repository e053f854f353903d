// The fingerprint of what decides the bits of a clip: which frames, which crop, and the numbers of the pixels.
import CFFmpeg
import Foundation

public enum VideoFingerprint {
  /// What members of a run must have in common.
  ///
  /// The frames are FFmpeg's, so its versions of demuxers and decoders are in it. The numbers are made of the frames by
  /// our own arithmetic, whose version is enough. Pixel formats that only libswscale knows count by what it makes of
  /// them, not by its version.
  public static var entries: [String: String] {
    func text(_ version: UInt32) -> String { "\(version >> 16).\(version >> 8 & 255).\(version & 255)" }
    return [
      "avformat": text(avformat_version()), "avcodec": text(avcodec_version()),
      "conversion": String(FrameConverter.version), "sampling": String(FrameSampling.version),
      "rare-formats": ScaledByFFmpeg.digest,
    ]
  }

  /// Why a run cannot go on here, by its fingerprint in the journal ("name value, name value…").
  /// - Returns: nil if it can, or has not trained yet.
  public static func refusal(of journaled: String) -> String? {
    if journaled.isEmpty { return nil }
    var known: [String: String] = [:]
    for entry in journaled.components(separatedBy: ", ") {
      let parts = entry.split(separator: " ", maxSplits: 1).map(String.init)
      if parts.count == 2 { known[parts[0]] = parts[1] }
    }
    var reasons: [String] = []
    func compare(_ name: String, _ own: Int, _ what: String, before: String) {
      guard known[name] != String(own) else { return }
      reasons.append("\(what) \(known[name].map { "in version \($0)" } ?? before), here in version \(own)")
    }
    compare("conversion", FrameConverter.version, "it converted pixels", before: "with FFmpeg's scaler")
    compare("sampling", FrameSampling.version, "it chose frames and crops", before: "by older rules")
    return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
  }
}
