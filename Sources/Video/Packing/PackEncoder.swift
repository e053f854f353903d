// Encodes a packed clip as an H.264 MP4 file in memory, with the same bytes on any CPU, and compares each picture with
// what a decoder makes of it.
import CFFmpeg
import CKernels
import Foundation
import Shared

/// The encoder, decoder and muxer of one clip. It belongs to one thread.
///
/// The stream decodes fast when a few frames are wanted: a key frame every 12 pictures, and between them three pictures
/// in four that no other refers to, which are skipped; no arithmetic coding and no deblocking (decision 0024).
@safe
final class PackEncoder {
  /// Raise it whenever other bytes come out for the same clip.
  static let version = 1
  /// Pictures from one key frame to the next.
  static let group = 12
  /// One thread, and no decision that depends on the CPU or on later pictures.
  private static let parameters =
    "threads=1:lookahead-threads=1:cpu-independent=1:keyint=\(group):min-keyint=\(group):scenecut=0:open-gop=0:"
    + "bframes=3:b-adapt=0:b-pyramid=none:weightp=0:weightb=0:rc-lookahead=0:mbtree=0:ref=1"

  struct Result {
    let bytes: Data
    /// A digest of each decoded picture.
    let pictures: [Digest128]
    /// Decibels, over all pictures and planes.
    let psnr: Double
  }

  private let gateway: FFmpegGateway
  private var format: UnsafeMutablePointer<AVFormatContext>?
  private var encoder: UnsafeMutablePointer<AVCodecContext>?
  private var packet: UnsafeMutablePointer<AVPacket>?
  private var stream: UnsafeMutablePointer<AVStream>?
  private var parametersCopy: UnsafeMutablePointer<AVCodecParameters>?
  private var decoder: Decoder?
  /// Pictures that have not come back yet, by their numbers.
  private var waiting: [Int64: PackedPicture] = [:]
  private var count: Int64 = 0
  private var digests: [Digest128] = []
  private var squares: UInt64 = 0
  private var samples: UInt64 = 0

  /// - Parameters:
  ///   - picture: the clip's first: its size and colours are those of all.
  ///   - frameRate: frames a second; 0 for 25.
  /// - Throws: `VideoError` if FFmpeg has no encoder for H.264, or it refuses the picture.
  init(like picture: PackedPicture, quantiser: Int, frameRate: Double, _ gateway: FFmpegGateway) throws(VideoError) {
    _ = FFmpegGateway.silenced
    self.gateway = gateway
    guard let codec = unsafe avcodec_find_encoder_by_name("libx264") else {
      throw VideoError(
        path: gateway.path, operation: "encode", cause: "this FFmpeg has no encoder libx264", status: .unavailable)
    }
    try gateway("encode", unsafe avformat_alloc_output_context2(&format, nil, "mp4", nil))
    unsafe encoder = avcodec_alloc_context3(codec)
    unsafe packet = av_packet_alloc()
    unsafe stream = avformat_new_stream(format, nil)
    unsafe parametersCopy = avcodec_parameters_alloc()
    let context = unsafe try gateway.allocated("encode", encoder)
    let file = unsafe try gateway.allocated("encode", format)
    let track = unsafe try gateway.allocated("encode", stream)
    let parameters = unsafe try gateway.allocated("encode", parametersCopy)
    _ = unsafe try gateway.allocated("encode", packet)
    unsafe configure(context, picture, frameRate)
    try unsafe open(context, codec, quantiser)
    try gateway("encode", unsafe avcodec_parameters_from_context(track.pointee.codecpar, context))
    try gateway("encode", unsafe avcodec_parameters_from_context(parameters, context))
    unsafe track.pointee.time_base = context.pointee.time_base
    unsafe track.pointee.avg_frame_rate = context.pointee.framerate
    unsafe file.pointee.flags |= AVFMT_FLAG_BITEXACT
    try gateway("encode", unsafe avio_open_dyn_buf(&file.pointee.pb))
    try gateway("encode", unsafe avformat_write_header(file, nil))
    unsafe decoder = try Decoder(
      parameters, timebase: context.pointee.time_base, rules: VideoRules(pixels: .max), gateway: gateway)
  }

  private func configure(_ context: UnsafeMutablePointer<AVCodecContext>, _ picture: PackedPicture, _ rate: Double) {
    let usable = rate.isFinite && rate >= 0.01 && rate <= 1000 ? rate : 25
    let framesPerSecond = av_d2q(usable, 60_000)
    unsafe context.pointee.width = Int32(picture.width)
    unsafe context.pointee.height = Int32(picture.height)
    unsafe context.pointee.pix_fmt = AV_PIX_FMT_YUV420P
    unsafe context.pointee.color_range = picture.frame.pointee.color_range
    unsafe context.pointee.colorspace = picture.frame.pointee.colorspace
    unsafe context.pointee.chroma_sample_location = picture.frame.pointee.chroma_location
    unsafe context.pointee.time_base = AVRational(num: framesPerSecond.den, den: framesPerSecond.num)
    unsafe context.pointee.framerate = framesPerSecond
    unsafe context.pointee.thread_count = 1
    unsafe context.pointee.flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_GLOBAL_HEADER
  }

  private func open(
    _ context: UnsafeMutablePointer<AVCodecContext>, _ codec: UnsafePointer<AVCodec>, _ quantiser: Int
  ) throws(VideoError) {
    var options: OpaquePointer?
    defer { unsafe av_dict_free(&options) }
    for (key, value) in [
      ("preset", "veryfast"), ("tune", "fastdecode"), ("qp", String(quantiser)), ("x264-params", Self.parameters),
    ] {
      try gateway("encode", unsafe av_dict_set(&options, key, value, 0))
    }
    try gateway("encode", unsafe avcodec_open2(context, codec, &options))
  }

  deinit {
    if unsafe format?.pointee.pb != nil { unsafe av_free(closedBuffer().bytes) }
    unsafe av_packet_free(&packet)
    unsafe avcodec_free_context(&encoder)
    unsafe avformat_free_context(format)
    decoder = nil
    unsafe avcodec_parameters_free(&parametersCopy)
  }

  /// Adds the next picture.
  func add(_ picture: PackedPicture) throws {
    unsafe picture.frame.pointee.pts = count
    waiting[count] = picture
    count += 1
    try gateway("encode", unsafe avcodec_send_frame(encoder, picture.frame))
    try writePackets()
  }

  /// Ends the clip.
  func finish() throws -> Result {
    try gateway("encode", unsafe avcodec_send_frame(encoder, nil))
    try writePackets()
    try unsafe decoder?.decode(nil, isWanted: true, compare)
    guard waiting.isEmpty else { throw gateway.error("encode", "the encoder has lost \(waiting.count) pictures") }
    try gateway("encode", unsafe av_write_trailer(format))
    let (bytes, length) = unsafe closedBuffer()
    defer { unsafe av_free(bytes) }
    guard let bytes = unsafe bytes, length > 0 else { throw gateway.error("encode", tamring_ffmpeg_no_memory()) }
    let error = Double(max(1, squares)) / Double(max(1, samples))
    return Result(
      bytes: unsafe Data(bytes: bytes, count: length), pictures: digests, psnr: 10 * log10(255 * 255 / error))
  }

  private func writePackets() throws {
    let encoder = unsafe try gateway.allocated("encode", encoder)
    let packet = unsafe try gateway.allocated("encode", packet)
    let stream = unsafe try gateway.allocated("encode", stream)
    while true {
      let code = unsafe avcodec_receive_packet(encoder, packet)
      if code == tamring_ffmpeg_again() || code == tamring_ffmpeg_eof() { return }
      try gateway("encode", code)
      try unsafe decoder?.decode(packet, isWanted: true, compare)
      unsafe packet.pointee.duration = 1
      unsafe av_packet_rescale_ts(packet, encoder.pointee.time_base, stream.pointee.time_base)
      try gateway("encode", unsafe av_interleaved_write_frame(format, packet))
    }
  }

  /// Compares what comes out of the decoder with what went in.
  private func compare(_ decoded: DecodedFrame) throws {
    // Decoders give pictures in the order of their numbers.
    guard decoded.packet == Int64(digests.count), let picture = waiting.removeValue(forKey: decoded.packet),
      !decoded.isDamaged, decoded.width == picture.width, decoded.height == picture.height
    else { throw gateway.error("encode", "picture \(digests.count) does not come back from the decoder") }
    let (before, after) = unsafe (PackedPicture.planes(picture.frame), PackedPicture.planes(decoded.pointer))
    for (a, b) in zip(before, after) {
      squares += unsafe tamring_squared_differences(
        a.base, Int64(a.rowBytes), b.base, Int64(b.rowBytes), Int64(a.columns), Int64(a.rows))
      samples += UInt64(a.columns * a.rows)
    }
    digests.append(decoded.digest())
  }

  /// The bytes muxed so far. The caller frees them.
  private func closedBuffer() -> (bytes: UnsafeMutablePointer<UInt8>?, count: Int) {
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = unsafe avio_close_dyn_buf(format?.pointee.pb, &bytes)
    unsafe format?.pointee.pb = nil
    return unsafe (bytes, Int(count))
  }

  /// A digest of what becomes of fixed pictures. Two encoders that agree in it give the same bytes.
  static let digest: String = {
    let gateway = FFmpegGateway(path: "a fixed picture")
    var random = Philox(seed: 1, .selfTest)
    var session: PackEncoder?
    do {
      for _ in 0..<20 {
        let picture = try PackedPicture(width: 64, height: 48, gateway)
        let planes = unsafe PackedPicture.planes(picture.frame)
        for plane in planes {
          for row in 0..<plane.rows {
            for column in 0..<plane.columns {
              unsafe plane.base?[row * plane.rowBytes + column] =
                UInt8(64 + (row + column) % 64 + random.below(16))
            }
          }
        }
        let encoder = try session ?? PackEncoder(like: picture, quantiser: 23, frameRate: 25, gateway)
        session = encoder
        try encoder.add(picture)
      }
      return Digest128(of: try session?.finish().bytes ?? Data()).description
    } catch { return "none" }
  }()
}
