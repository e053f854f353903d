// Whether a file is cut off: told by the sizes that its container states, and without decoding anything.

/// FFmpeg takes the end of a cut Matroska, Ogg or transport stream for the video's end. Every container states sizes or
/// ends that a cut belies; each has its own check here, so that all are refused alike.
enum Truncation {
  /// - Parameter container: FFmpeg's names of it.
  /// - Returns: why the file is cut off; nil if it is whole.
  static func reason(_ file: ClipFile, _ container: String) throws(VideoError) -> String? {
    switch container.split(separator: ",").first {
    case "mov": try boxes(file)
    case "matroska": try MatroskaWalk(file).cut()
    case "avi": try riff(file)
    case "flv": try flash(file)
    case "ogg": try ogg(file)
    case "mpegts": try transportStream(file)
    case "mpeg": try programStream(file)
    case "asf", "asf_o": try windowsMedia(file)
    default: nil
    }
  }

  /// A big-endian number.
  static func number(_ bytes: some Collection<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

  /// A little-endian number.
  static func littleNumber(_ bytes: some BidirectionalCollection<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Why a part that should end at `end` is cut off; nil if it is whole.
  static func cut(_ part: String, from start: UInt64, size: UInt64, in file: ClipFile) -> String? {
    let (end, overflow) = start.addingReportingOverflow(size)
    if !overflow, end <= file.size { return nil }
    return "its \(part) should have \(size) bytes from byte \(start) on, and the file ends at byte \(file.size)"
  }
}
