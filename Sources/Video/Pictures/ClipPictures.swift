// Some frames of a clip as small JPEG pictures, for people to look at. Training uses nothing of this.
import CFFmpeg
import Foundation
import Shared

/// Frames that are spread evenly over a clip.
public struct ClipPictures: Sendable {
  /// JPEG files, in the order of the frames.
  public let jpegs: [Data]
  /// Clockwise, in degrees: how the pictures must be turned for display.
  public let rotation: Int

  /// - Parameters:
  ///   - first: the clip's first frame in the file.
  ///   - frames: how many it has.
  ///   - count: pictures; fewer if the clip has fewer frames.
  ///   - height: pixels; the width follows.
  /// - Throws: `VideoError` if the frames cannot be decoded.
  public init(
    _ path: String, range: Range<UInt64>? = nil, isProved: Bool = false, first: Int, frames: Int, count: Int,
    height: Int, rules: VideoRules = VideoRules()
  ) throws {
    let source: any ClipFrames =
      try range == nil && ImageFolder.isFolder(path)
      ? ImageFolder(path: path, rules: rules) : VideoFile(path: path, range: range, rules: rules, isProved: isProved)
    rotation = source.orientation.degrees
    let clip = try first..<max(first, min(source.frameCount(), first + frames))
    let places = (0..<min(count, clip.count)).map {
      clip.lowerBound + (2 * $0 + 1) * clip.count / (2 * min(count, clip.count))
    }
    let encoder = JPEGEncoder(height: height, path: path)
    var found: [Int: Data] = [:]
    try source.decode(places) { found[$0] = try encoder.encode($1) }
    jpegs = found.sorted { $0.key < $1.key }.map(\.value)
  }
}

extension ClipPictures {
  /// Pictures that another process took.
  init(jpegs: [Data], rotation: Int) { (self.jpegs, self.rotation) = (jpegs, rotation) }
}

/// Owns a scaler and an encoder. It belongs to one thread.
@safe
private final class JPEGEncoder {
  private let height: Int
  private let gateway: FFmpegGateway
  private var scaler: OpaquePointer?
  private var encoder: UnsafeMutablePointer<AVCodecContext>?
  private var picture: UnsafeMutablePointer<AVFrame>?
  private var packet: UnsafeMutablePointer<AVPacket>?

  /// From 2, the best, to 31.
  private static let quality: Int32 = 6

  init(height: Int, path: String) {
    self.height = height
    gateway = FFmpegGateway(path: path)
  }

  deinit {
    unsafe sws_freeContext(scaler)
    unsafe avcodec_free_context(&encoder)
    unsafe av_frame_free(&picture)
    unsafe av_packet_free(&packet)
  }

  /// - Throws: `VideoError` if FFmpeg refuses the picture.
  func encode(_ frame: DecodedFrame) throws(VideoError) -> Data {
    let source = unsafe frame.pointer
    // At most so wide that a damaged file cannot ask for much.
    let width = min(8 * height, max(2, frame.width * height / max(1, frame.height))) & ~1
    let target = unsafe try prepare(width: Int32(width))
    unsafe scaler = sws_getCachedContext(
      scaler, Int32(frame.width), Int32(frame.height), AVPixelFormat(source.pointee.format), Int32(width),
      Int32(height),
      AV_PIX_FMT_YUVJ420P, SWS_BILINEAR, nil, nil, nil)
    guard unsafe scaler != nil else { throw gateway.error("scale", "the scaler refuses its pictures") }
    try gateway("scale", unsafe av_frame_make_writable(target))
    try gateway("scale", unsafe sws_scale_frame(scaler, target, source))
    unsafe target.pointee.quality = Self.quality * FF_QP2LAMBDA
    unsafe target.pointee.pts += 1
    guard let encoder = unsafe encoder, let packet = unsafe packet else { throw gateway.error("encode", "no encoder") }
    try gateway("encode", unsafe avcodec_send_frame(encoder, target))
    try gateway("encode", unsafe avcodec_receive_packet(encoder, packet))
    defer { unsafe av_packet_unref(packet) }
    guard let bytes = unsafe packet.pointee.data else { throw gateway.error("encode", "no picture came") }
    return unsafe Data(bytes: bytes, count: Int(packet.pointee.size))
  }

  /// Makes encoder and picture for this width, if they are not there.
  private func prepare(width: Int32) throws(VideoError) -> UnsafeMutablePointer<AVFrame> {
    if let picture = unsafe picture, unsafe picture.pointee.width == width { return unsafe picture }
    unsafe avcodec_free_context(&encoder)
    unsafe av_frame_free(&picture)
    guard let codec = unsafe avcodec_find_encoder(AV_CODEC_ID_MJPEG) else {
      throw gateway.error("encode", "FFmpeg has no encoder for JPEG here")
    }
    unsafe encoder = avcodec_alloc_context3(codec)
    unsafe picture = av_frame_alloc()
    if unsafe packet == nil { unsafe packet = av_packet_alloc() }
    guard let encoder = unsafe encoder, let picture = unsafe picture, unsafe packet != nil else {
      throw gateway.error("encode", tamring_ffmpeg_no_memory())
    }
    unsafe encoder.pointee.width = width
    unsafe encoder.pointee.height = Int32(height)
    unsafe encoder.pointee.pix_fmt = AV_PIX_FMT_YUVJ420P
    unsafe encoder.pointee.color_range = AVCOL_RANGE_JPEG
    unsafe encoder.pointee.time_base = AVRational(num: 1, den: 25)
    unsafe encoder.pointee.thread_count = 1
    unsafe encoder.pointee.flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT
    unsafe encoder.pointee.global_quality = Self.quality * FF_QP2LAMBDA
    try gateway("encode", unsafe avcodec_open2(encoder, codec, nil))
    unsafe picture.pointee.width = width
    unsafe picture.pointee.height = Int32(height)
    unsafe picture.pointee.format = AV_PIX_FMT_YUVJ420P.rawValue
    unsafe picture.pointee.color_range = AVCOL_RANGE_JPEG
    try gateway("encode", unsafe av_frame_get_buffer(picture, 0))
    return unsafe picture
  }
}
