// One video decoder: packets in, frames out, on the calling thread only.
import CDecoderLog
import CFFmpeg
import Shared

/// Owns one `AVCodecContext` and the frame that it fills. It belongs to one thread.
@safe
final class Decoder {
  private let gateway: FFmpegGateway
  private let rules: VideoRules
  private let parameters: UnsafeMutablePointer<AVCodecParameters>
  private let timebase: AVRational
  private var context: UnsafeMutablePointer<AVCodecContext>?
  private var frame: UnsafeMutablePointer<AVFrame>?
  /// Whether pictures that no other picture refers to can be skipped safely. (HEVC's mark for them ignores references
  /// from higher temporal layers.)
  let canSkip: Bool
  /// Pixels of the picture that came last; 0 before the first.
  private var width: Int32 = 0
  private var height: Int32 = 0
  /// Whether a failure is looked into.
  private var explains = true
  /// Grows with each packet that is decoded.
  private let progress: DecodeProgress?

  /// - Parameter parameters: must outlive the decoder.
  /// - Throws: `VideoError` if FFmpeg has no decoder for the stream, or the decoder refuses the parameters.
  init(
    _ parameters: UnsafeMutablePointer<AVCodecParameters>, timebase: AVRational, rules: VideoRules,
    gateway: FFmpegGateway, progress: DecodeProgress? = nil
  ) throws(VideoError) {
    self.gateway = gateway
    self.rules = rules
    unsafe self.parameters = unsafe parameters
    self.timebase = timebase
    self.progress = progress
    canSkip = unsafe [AV_CODEC_ID_H264, AV_CODEC_ID_MPEG4, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG1VIDEO]
      .contains(parameters.pointee.codec_id)
    unsafe frame = try gateway.allocated("decode", unsafe av_frame_alloc())
    try open()
  }

  deinit {
    unsafe av_frame_free(&frame)
    unsafe avcodec_free_context(&context)
  }

  private func open() throws(VideoError) {
    let identifier = unsafe parameters.pointee.codec_id
    guard let codec = unsafe avcodec_find_decoder(identifier) else {
      throw gateway.error("decode", "FFmpeg has no decoder for \(unsafe String(cString: avcodec_get_name(identifier)))")
    }
    unsafe avcodec_free_context(&context)
    unsafe context = avcodec_alloc_context3(codec)
    let decoder = unsafe try gateway.allocated("decode", context)
    try gateway("decode", unsafe avcodec_parameters_to_context(decoder, parameters))
    unsafe decoder.pointee.pkt_timebase = timebase
    unsafe decoder.pointee.thread_count = 1
    unsafe decoder.pointee.flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_UNALIGNED
    // FFmpeg counts what it pads a picture to. `decode` looks at the picture itself.
    unsafe decoder.pointee.max_pixels = 2 * Int64(clamping: min(rules.pixels, 1 << 40)) + 1_048_576
    try gateway("decode", unsafe avcodec_open2(decoder, codec, nil))
  }

  /// Decodes one packet (nil at the end, to flush delayed frames), and passes complete frames to `use`.
  /// - Parameter isWanted: whether the packet's own picture is wanted; otherwise it is skipped if that is safe.
  /// - Throws: `VideoError` for damaged data, and whatever `use` throws.
  func decode(
    _ packet: UnsafeMutablePointer<AVPacket>?, isWanted: Bool, _ use: (DecodedFrame) throws -> Void
  ) throws {
    guard let context = unsafe context, let frame = unsafe frame else { return }
    unsafe context.pointee.skip_frame = canSkip && !isWanted ? AVDISCARD_NONREF : AVDISCARD_DEFAULT
    progress?.moved()
    try gateway.checkTime()
    let sent = unsafe avcodec_send_packet(context, packet)
    if sent < 0 { throw unsafe failure(sent, packet) }
    while true {
      let code = unsafe avcodec_receive_frame(context, frame)
      if code == tamring_ffmpeg_again() || code == tamring_ffmpeg_eof() { return }
      if code < 0 { throw unsafe failure(code, packet) }
      (width, height) = unsafe (frame.pointee.width, frame.pointee.height)
      guard Int(width) * Int(height) <= rules.pixels else {
        throw gateway.error(
          "decode", "a picture of \(width)x\(height) has more than the recipe's limit of \(rules.pixels) pixels")
      }
      try use(unsafe DecodedFrame(frame))
    }
  }

  /// What is wrong with a packet that cannot be decoded.
  private func failure(_ code: Int32, _ packet: UnsafeMutablePointer<AVPacket>?) -> VideoError {
    guard let packet = unsafe packet, code != tamring_ffmpeg_no_memory() else { return gateway.error("decode", code) }
    let number = unsafe packet.pointee.pts
    // FFmpeg's codes hardly differ. By itself the packet may be in order, with another size.
    if explains, width > 0,
      let alone = unsafe try? Decoder(parameters, timebase: timebase, rules: rules, gateway: gateway)
    {
      alone.explains = false
      var size: (Int32, Int32)?
      unsafe try? alone.decode(packet, isWanted: true) {
        unsafe size = ($0.pointer.pointee.width, $0.pointer.pointee.height)
      }
      unsafe try? alone.decode(nil, isWanted: true) {
        unsafe size = ($0.pointer.pointee.width, $0.pointer.pointee.height)
      }
      if let size, size != (width, height) {
        return gateway.error(
          "decode",
          "the picture size changes at packet \(number), from \(width)x\(height) to \(size.0)x\(size.1), which the decoder "
            + "does not follow")
      }
    }
    return gateway.error("decode", "packet \(number): \(FFmpegGateway.message(code))")
  }

  /// Makes the decoder anew, so that nothing of what it decoded is left in it.
  func restart() throws(VideoError) { try open() }

  /// Lets go of pictures, so that decoding can start at another entry point, also after the end. What the packets have
  /// configured stays: use it only where they configure nothing.
  func reset() { unsafe avcodec_flush_buffers(context) }
}

/// What FFmpeg's decoders have logged on this thread as errors, since `clear()`.
enum DecoderLog {
  static func clear() { tamring_decoder_log_clear() }

  /// The first message; nil if there is none.
  static var complaint: String? {
    tamring_decoder_log_errors() == 0 ? nil : unsafe String(cString: tamring_decoder_log_first())
  }
}

/// A decoded picture. It is valid only during the call that it is passed to.
@safe
struct DecodedFrame {
  let pointer: UnsafeMutablePointer<AVFrame>

  init(_ pointer: UnsafeMutablePointer<AVFrame>) { unsafe self.pointer = pointer }

  /// Pixels, before rotation.
  var width: Int { unsafe Int(pointer.pointee.width) }
  var height: Int { unsafe Int(pointer.pointee.height) }
  /// The number of its packet.
  var packet: Int64 { unsafe pointer.pointee.pts }

  /// Whether the decoder concealed an error in it: FFmpeg "succeeds" on damaged data, and only sets this flag.
  var isDamaged: Bool {
    unsafe pointer.pointee.decode_error_flags != 0 || pointer.pointee.flags & AV_FRAME_FLAG_CORRUPT != 0
  }
}
