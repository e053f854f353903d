// Encodes the demo's pictures as an H.264 MP4 file in memory, with the same bytes on any CPU.
import CFFmpeg
import Foundation

/// How the demo's clips are encoded.
struct DemoEncoder {
  /// FFmpeg's name of the encoder.
  var name = "libx264"
  /// A constant quantiser, since rate control computes in floating point.
  var quantiser = 26
  /// One thread, and no decision that depends on the CPU.
  var parameters = "threads=1:lookahead-threads=1:cpu-independent=1:weightp=0:scenecut=0"

  /// - Parameter frames: of `size` x `size` pixels, `size` even.
  /// - Returns: the bytes of an MP4 file.
  /// - Throws: `DemoDataError` if the encoder is missing or fails.
  func encode(_ frames: [DemoFrame], size: Int, framesPerSecond: Int) throws(DemoDataError) -> Data {
    let session = try EncodingSession(self, size: size, framesPerSecond: framesPerSecond)
    for (number, frame) in frames.enumerated() { try session.add(frame, number: number) }
    return try session.finish()
  }
}

/// The encoder and muxer of one file. It owns everything that FFmpeg allocates for it.
@safe
private final class EncodingSession {
  private var format: UnsafeMutablePointer<AVFormatContext>?
  private var encoder: UnsafeMutablePointer<AVCodecContext>?
  private var picture: UnsafeMutablePointer<AVFrame>?
  private var packet: UnsafeMutablePointer<AVPacket>?
  private var stream: UnsafeMutablePointer<AVStream>?

  /// Keeps FFmpeg from printing to standard error. Our errors contain its messages.
  private static let silenced: Void = av_log_set_level(AV_LOG_QUIET)
  /// The macros AVERROR(EAGAIN) and AVERROR_EOF, which Swift does not see.
  private static let tryAgain = -EAGAIN
  private static let endOfFile = -("EOF ".utf8.reversed().reduce(Int32(0)) { $0 << 8 | Int32($1) })

  init(_ settings: DemoEncoder, size: Int, framesPerSecond: Int) throws(DemoDataError) {
    guard let codec = unsafe avcodec_find_encoder_by_name(settings.name) else {
      throw DemoDataError(
        .unavailable, "the encoder \(settings.name) is missing from this FFmpeg; install Debian's libavcodec59")
    }
    try check("avformat_alloc_output_context2", unsafe avformat_alloc_output_context2(&format, nil, "mp4", nil))
    unsafe encoder = avcodec_alloc_context3(codec)
    unsafe picture = av_frame_alloc()
    unsafe packet = av_packet_alloc()
    unsafe stream = avformat_new_stream(format, nil)
    guard let format = unsafe format, let encoder = unsafe encoder, let picture = unsafe picture,
      let stream = unsafe stream, unsafe packet != nil
    else { throw DemoDataError(.failed, "out of memory while encoding a demo clip") }

    unsafe encoder.pointee.width = Int32(size)
    unsafe encoder.pointee.height = Int32(size)
    unsafe encoder.pointee.pix_fmt = AV_PIX_FMT_YUV420P
    unsafe encoder.pointee.color_range = AVCOL_RANGE_MPEG
    unsafe encoder.pointee.time_base = AVRational(num: 1, den: Int32(framesPerSecond))
    unsafe encoder.pointee.framerate = AVRational(num: Int32(framesPerSecond), den: 1)
    unsafe encoder.pointee.thread_count = 1
    unsafe encoder.pointee.flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_GLOBAL_HEADER
    _ = Self.silenced
    var options: OpaquePointer?
    defer { unsafe av_dict_free(&options) }
    for (key, value) in [
      ("preset", "veryfast"), ("qp", String(settings.quantiser)), ("x264-params", settings.parameters),
    ] {
      try check("av_dict_set", unsafe av_dict_set(&options, key, value, 0))
    }
    try check("avcodec_open2", unsafe avcodec_open2(encoder, codec, &options))

    unsafe picture.pointee.format = AV_PIX_FMT_YUV420P.rawValue
    unsafe picture.pointee.width = Int32(size)
    unsafe picture.pointee.height = Int32(size)
    try check("av_frame_get_buffer", unsafe av_frame_get_buffer(picture, 0))

    try check(
      "avcodec_parameters_from_context",
      unsafe avcodec_parameters_from_context(stream.pointee.codecpar, encoder))
    unsafe stream.pointee.time_base = encoder.pointee.time_base
    unsafe stream.pointee.avg_frame_rate = encoder.pointee.framerate
    unsafe format.pointee.flags |= AVFMT_FLAG_BITEXACT
    try check("avio_open_dyn_buf", unsafe avio_open_dyn_buf(&format.pointee.pb))
    try check("avformat_write_header", unsafe avformat_write_header(format, nil))
  }

  deinit {
    if unsafe format?.pointee.pb != nil { unsafe av_free(closedBuffer().bytes) }
    unsafe av_packet_free(&packet)
    unsafe av_frame_free(&picture)
    unsafe avcodec_free_context(&encoder)
    unsafe avformat_free_context(format)
  }

  func add(_ frame: DemoFrame, number: Int) throws(DemoDataError) {
    guard let picture = unsafe picture else { preconditionFailure("a session is complete once it is made") }
    // The encoder may still refer to the previous picture.
    try check("av_frame_make_writable", unsafe av_frame_make_writable(picture))
    let width = unsafe Int(picture.pointee.width)
    unsafe copy(frame.luma, width: width, to: picture.pointee.data.0, stride: Int(picture.pointee.linesize.0))
    unsafe copy(frame.blue, width: width / 2, to: picture.pointee.data.1, stride: Int(picture.pointee.linesize.1))
    unsafe copy(frame.red, width: width / 2, to: picture.pointee.data.2, stride: Int(picture.pointee.linesize.2))
    unsafe picture.pointee.pts = Int64(number)
    try check("avcodec_send_frame", unsafe avcodec_send_frame(encoder, picture))
    try writePackets()
  }

  /// Ends the session, and returns the whole file.
  func finish() throws(DemoDataError) -> Data {
    try check("avcodec_send_frame", unsafe avcodec_send_frame(encoder, nil))
    try writePackets()
    try check("av_write_trailer", unsafe av_write_trailer(format))
    let (bytes, count) = unsafe closedBuffer()
    defer { unsafe av_free(bytes) }
    guard let bytes = unsafe bytes else { throw DemoDataError(.failed, "out of memory while encoding a demo clip") }
    return unsafe Data(bytes: bytes, count: count)
  }

  private func writePackets() throws(DemoDataError) {
    guard let encoder = unsafe encoder, let packet = unsafe packet, let stream = unsafe stream else { return }
    while true {
      let result = unsafe avcodec_receive_packet(encoder, packet)
      if result == EncodingSession.tryAgain || result == EncodingSession.endOfFile { return }
      try check("avcodec_receive_packet", result)
      unsafe packet.pointee.duration = 1
      unsafe av_packet_rescale_ts(packet, encoder.pointee.time_base, stream.pointee.time_base)
      try check("av_interleaved_write_frame", unsafe av_interleaved_write_frame(format, packet))
    }
  }

  private func copy(_ plane: [UInt8], width: Int, to dst: UnsafeMutablePointer<UInt8>?, stride: Int) {
    for (row, start) in Swift.stride(from: 0, to: plane.count, by: width).enumerated() {
      unsafe dst?.advanced(by: row * stride).update(from: Array(plane[start..<start + width]), count: width)
    }
  }

  /// The bytes muxed so far. The caller frees them.
  private func closedBuffer() -> (bytes: UnsafeMutablePointer<UInt8>?, count: Int) {
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = unsafe avio_close_dyn_buf(format?.pointee.pb, &bytes)
    unsafe format?.pointee.pb = nil
    return unsafe (bytes, Int(count))
  }

  private func check(_ call: String, _ result: Int32) throws(DemoDataError) {
    if result >= 0 { return }
    var text = [CChar](repeating: 0, count: 128)
    _ = unsafe av_strerror(result, &text, text.count)
    let reason = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    throw DemoDataError(.failed, "a demo clip cannot be encoded: \(call) says '\(reason)'; check FFmpeg's libx264")
  }
}
