// What the index knows of a file's head, so that a step opens the file without guessing its kind and decoding a part of
// it.
import CFFmpeg
import Shared

/// The container of a file, and the delay of its decoder. `VideoFile.head` finds it; a file with another head has none.
public struct FileHead: Hashable, Sendable {
  enum Container: UInt8, CaseIterable {
    case mov = 1
    case matroska, avi

    /// FFmpeg's name of the demuxer, or the first of its names.
    var name: String {
      switch self {
      case .mov: "mov"
      case .matroska: "matroska"
      case .avi: "avi"
      }
    }
  }

  let container: Container
  /// Pictures that the decoder holds back from the start.
  let delay: Int32

  /// The most pictures that a decoder holds back: H.264's.
  private static let longestDelay: Int32 = 16

  /// - Parameters:
  ///   - container: FFmpeg's names of the demuxer.
  /// - Returns: nil for other containers, some of which have no head.
  init?(container names: String, delay: Int32) {
    let found = Container.allCases.first { names == $0.name || names.hasPrefix($0.name + ",") }
    guard let found, (0...Self.longestDelay).contains(delay) else { return nil }
    (container, self.delay) = (found, delay)
  }

  /// As the index keeps it. Never 0, which stands for a file without one.
  public var code: UInt8 { container.rawValue << 5 | UInt8(delay) }

  /// - Returns: nil for 0, and for what `code` never is.
  public init?(code: UInt8) {
    guard let container = Container(rawValue: code >> 5), code & 31 <= Self.longestDelay else { return nil }
    (self.container, delay) = (container, Int32(code & 31))
  }
}

extension VideoFile {
  /// What opening the file again can do without: proved by doing without it, and comparing the packets, what the
  /// decoder is told, and the first picture.
  var head: FileHead? {
    // A file too big for its packets to be kept is not read twice.
    guard packets.areKept,
      let head = unsafe FileHead(container: demuxer.container, delay: demuxer.parameters.pointee.video_delay),
      let other = try? VideoFile(demuxer.file, rules: demuxer.rules, isProved: isProved, head: head),
      demuxer.agrees(with: other.demuxer), packets.index.packets == other.packets.index.packets,
      orientation == other.orientation, let first = try? firstPicture(), let its = try? other.firstPicture()
    else { return nil }
    return first == its ? head : nil
  }

  private func firstPicture() throws -> PictureFacts? {
    var facts: PictureFacts?
    try decode([0]) { _, frame in facts = PictureFacts(frame) }
    return facts
  }
}

extension Demuxer {
  /// Whether both found the same stream, and tell the decoder the same. What the decoder finds out by itself may
  /// differ: the format of pixels, colours, profile, bit rate.
  fileprivate func agrees(with other: Demuxer) -> Bool {
    func text(_ parameters: UnsafeMutablePointer<AVCodecParameters>) -> [UInt8] {
      unsafe Array(
        UnsafeBufferPointer(start: parameters.pointee.extradata, count: Int(parameters.pointee.extradata_size)))
    }
    let (mine, its) = unsafe (parameters.pointee, other.parameters.pointee)
    let (timebase, itsTimebase) = unsafe (stream.pointee.time_base, other.stream.pointee.time_base)
    return unsafe stream.pointee.index == other.stream.pointee.index && mine.codec_id == its.codec_id
      && mine.codec_tag == its.codec_tag && mine.bits_per_coded_sample == its.bits_per_coded_sample
      && mine.width == its.width && mine.height == its.height && timebase.num == itsTimebase.num
      && timebase.den == itsTimebase.den && text(parameters) == text(other.parameters)
      && promisedPackets == other.promisedPackets
  }
}

/// All of a picture that reaches the network's input.
private struct PictureFacts: Equatable {
  let digest: Digest128
  let colours: [Int32]

  init(_ frame: DecodedFrame) {
    digest = frame.digest()
    let picture = unsafe frame.pointer.pointee
    colours = unsafe [
      Int32(picture.colorspace.rawValue), Int32(picture.color_range.rawValue), Int32(picture.color_primaries.rawValue),
      Int32(picture.color_trc.rawValue), Int32(picture.chroma_location.rawValue), picture.interlaced_frame,
      picture.sample_aspect_ratio.num, picture.sample_aspect_ratio.den,
    ]
  }
}
