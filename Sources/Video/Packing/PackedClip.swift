// A clip as a pack stores it: a small H.264 video whose frame n is frame n of the clip, checked by decoding it again.
import CFFmpeg
import CLinux
import Foundation
import Glibc
import Shared

/// How clips are packed.
public struct ClipPacking: Hashable, Sendable {
  /// Pixels of a packed picture's shorter side; even. Smaller pictures are not enlarged.
  public var shortSide: Int
  /// H.264's quantiser, from 0 to 51: the step of rounding doubles with every 6.
  public var quantiser: Int
  /// Whether a file that is such a video already is copied as it is.
  public var copies: Bool

  public init(shortSide: Int = 256, quantiser: Int = 23, copies: Bool = true) {
    self.shortSide = shortSide
    self.quantiser = quantiser
    self.copies = copies
  }

  /// The most packets from one key frame to the next in a file that is copied.
  static let copiedGroup = 2 * PackEncoder.group

  /// The least mean PSNR, in decibels, of a packed clip: an error of one step of the quantiser. Rounding alone makes
  /// less than a third of it, so that what is below is not this clip, or is broken.
  public var leastPSNR: Double { 20 * log10(255 / (0.625 * exp2(Double(quantiser) / 6))) }
}

/// A packed clip, in memory.
public struct PackedClip: Sendable {
  /// A whole video file.
  public let bytes: Data
  /// XXH3-128 of the bytes.
  public let hash: Digest128
  public let frames: Int
  /// Pixels as displayed.
  public let width: Int
  public let height: Int
  /// Frames a second.
  public let frameRate: Double
  public let codec: String
  /// Whether decoding may enter the file at its key frames.
  public let isProved: Bool
  /// What opening the file again can do without.
  public let head: FileHead?
  /// Decibels, over all frames and planes; infinite for a copy.
  public let psnr: Double
  public let isCopy: Bool
}

extension ClipPacking {
  /// Packs a clip.
  /// - Parameters:
  ///   - request: its file, its part of it, and the size and hash that the file must have.
  ///   - frameRate: of the clip, which times the packed frames; 0 for 25.
  ///   - isChecked: whether size and hash of the file were found to be right already.
  ///   - rules: the limits within which the file is read; time is not limited.
  /// - Throws: `VideoError`: with the status `.ioError` if the file cannot be read, or is not as it was indexed; with
  ///   `.badData` if the clip cannot be packed.
  public func pack(_ request: ClipRequest, frameRate: Double, isChecked: Bool, rules: VideoRules) throws -> PackedClip {
    var rules = rules
    // Packing decodes all of a clip, where loading decodes a few frames.
    rules.seconds = .infinity
    let source: any ClipFrames
    if request.range == nil, ImageFolder.isFolder(request.path) {
      let folder = try ImageFolder(path: request.path, rules: rules)
      if !isChecked {
        let (bytes, hash) = try folder.hash()
        if bytes != request.expectedBytes || hash != request.expectedHash { throw Self.changed(request.path) }
      }
      source = folder
    } else {
      let file = try Self.opened(request, isChecked: isChecked)
      let video = try VideoFile(file, rules: rules, isProved: request.isProved, head: request.head)
      if copies, canCopy(video, request) { return try copy(file, video, frameRate) }
      source = video
    }
    return try encode(source, request, frameRate: frameRate)
  }

  private static func opened(_ request: ClipRequest, isChecked: Bool) throws(VideoError) -> ClipFile {
    do throws(VideoError) {
      let file = try ClipFile(path: request.path, range: request.range)
      if isChecked { return file }
      guard file.size == request.expectedBytes else { throw changed(request.path) }
      guard try file.hash() == request.expectedHash else { throw changed(request.path) }
      return file
    } catch {
      // It was there when it was indexed: not the clip's fault.
      throw VideoError(
        path: error.path, operation: error.operation, cause: error.cause, status: .ioError,
        errorNumber: error.errorNumber)
    }
  }

  private static func changed(_ path: String) -> VideoError {
    VideoError(path: path, operation: "use", cause: "changed since it was indexed", status: .ioError)
  }

  // MARK: Copying

  /// Whether the file is a clip by itself, small enough, and quick to enter anywhere.
  private func canCopy(_ video: VideoFile, _ request: ClipRequest) -> Bool {
    let packets = video.packets.index.packets
    guard request.isProved, video.isProved, video.codec == "h264", video.demuxer.container.hasPrefix("mov,"),
      !video.demuxer.isTruncated, min(video.width, video.height) <= shortSide, request.first == 0,
      request.frames == video.packets.index.order.count
    else { return false }
    var last = 0
    for number in packets.indices {
      if packets[number].isEntry { last = number }
      if number - last >= Self.copiedGroup { return false }
    }
    return true
  }

  private func copy(_ file: ClipFile, _ video: VideoFile, _ frameRate: Double) throws -> PackedClip {
    DecoderLog.clear()
    let frames = try video.decodeEveryFrame()
    try refuseComplaint(video.path)
    let bytes = Data(try file.bytes(at: 0, count: Int(clamping: file.size)))
    return PackedClip(
      bytes: bytes, hash: Digest128(of: bytes), frames: frames, width: video.width, height: video.height,
      frameRate: video.frameRate, codec: video.codec, isProved: video.isProved, head: video.head, psnr: .infinity,
      isCopy: true)
  }

  /// As `--deep` does: all frames have been decoded.
  private func refuseComplaint(_ path: String) throws(VideoError) {
    guard let complaint = DecoderLog.complaint else { return }
    throw VideoError(
      path: path, operation: "decode", cause: "it is damaged: the decoder reports \"\(complaint)\"")
  }

  // MARK: Encoding

  private func encode(_ source: any ClipFrames, _ request: ClipRequest, frameRate: Double) throws -> PackedClip {
    let gateway = FFmpegGateway(path: request.path)
    let scaler = PackScaler(shortSide: shortSide, source.orientation, gateway)
    var encoder: PackEncoder?
    var next = request.first
    DecoderLog.clear()
    try source.decode(Array(request.first..<request.first + request.frames)) { position, frame in
      guard position == next else {
        throw gateway.error("pack", "frame \(position) comes where frame \(next) should")
      }
      next += 1
      let picture = try scaler.scale(frame)
      let session = try encoder ?? PackEncoder(like: picture, quantiser: quantiser, frameRate: frameRate, gateway)
      encoder = session
      try session.add(picture)
    }
    try refuseComplaint(request.path)
    guard let encoder, next == request.first + request.frames else {
      throw gateway.error("pack", "it has fewer frames than when it was indexed")
    }
    let made = try encoder.finish()
    guard made.psnr >= leastPSNR else {
      throw gateway.error("pack", "the packed frames differ from the clip's: a PSNR of \(made.psnr) dB")
    }
    return try verified(made, request)
  }

  /// Reads the packed file as training would, and decodes all of it: every picture must be the one that was compared
  /// with the clip's.
  private func verified(_ made: PackEncoder.Result, _ request: ClipRequest) throws -> PackedClip {
    func failure(_ cause: String) -> VideoError {
      VideoError(path: request.path, operation: "pack", cause: "the packed video is wrong: \(cause)")
    }
    let memory = try MemoryFile(made.bytes)
    do {
      let video = try VideoFile(path: memory.path)
      try video.prove(deep: false)
      var digests: [Digest128] = []
      DecoderLog.clear()
      let count = try video.decodeEveryFrame { _, frame in digests.append(frame.digest()) }
      if let complaint = DecoderLog.complaint { throw failure(complaint) }
      guard count == request.frames, digests == made.pictures, try video.frameCount() == count else {
        throw failure("\(count) frames for \(request.frames), or other pictures than were encoded")
      }
      return PackedClip(
        bytes: made.bytes, hash: Digest128(of: made.bytes), frames: count, width: video.width, height: video.height,
        frameRate: video.frameRate, codec: video.codec, isProved: video.isProved, head: video.head, psnr: made.psnr,
        isCopy: false)
    } catch let error as VideoError where error.path == memory.path { throw failure(error.cause) }
  }
}

/// Bytes that can be opened as a file.
private final class MemoryFile {
  private let descriptor: Int32
  /// Valid as long as this object.
  var path: String { "/proc/self/fd/\(descriptor)" }

  init(_ bytes: Data) throws {
    descriptor = unsafe createMemory("tamring-pack", off_t(bytes.count))
    guard descriptor >= 0 else { endWithoutMemory(for: bytes.count) }
    let code = unsafe bytes.withUnsafeBytes { unsafe writeAll($0, to: descriptor) }
    if code != 0 { endWithoutMemory(for: bytes.count) }
  }

  deinit { close(descriptor) }
}

extension ClipPacking {
  /// Whether this FFmpeg has the encoder.
  public static var canEncode: Bool { PackEncoder.digest != "none" }

  /// What decides the bytes of a packed clip, besides the clip and these settings: FFmpeg, its encoder and its scaler.
  public static let fingerprint: String = {
    func text(_ version: UInt32) -> String { "\(version >> 16).\(version >> 8 & 255).\(version & 255)" }
    return "libavformat \(text(avformat_version())), libavcodec \(text(avcodec_version())), "
      + "libswscale \(text(swscale_version())), packer \(PackEncoder.version), encoder \(PackEncoder.digest)"
  }()
}
