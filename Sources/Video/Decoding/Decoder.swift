// One video decoder: packets in, frames out, on the calling thread only.
import CFFmpeg

/// Owns one `AVCodecContext` and the frame that it fills. It belongs to one thread.
@safe
final class Decoder {
  private let gateway: FFmpegGateway
  private var context: UnsafeMutablePointer<AVCodecContext>?
  private var frame: UnsafeMutablePointer<AVFrame>?
  /// Whether pictures that no other picture refers to can be skipped safely. (HEVC's mark for them ignores references
  /// from higher temporal layers.)
  private let canSkip: Bool
  /// Grows with each packet that is decoded.
  private let progress: DecodeProgress?

  /// - Throws: `VideoError` if FFmpeg has no decoder for the stream, or the decoder refuses the parameters.
  init(
    _ stream: UnsafeMutablePointer<AVStream>, gateway: FFmpegGateway, progress: DecodeProgress? = nil
  ) throws(VideoError) {
    self.gateway = gateway
    self.progress = progress
    let identifier = unsafe stream.pointee.codecpar.pointee.codec_id
    canSkip = [AV_CODEC_ID_H264, AV_CODEC_ID_MPEG4, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG1VIDEO]
      .contains(identifier)
    guard let codec = unsafe avcodec_find_decoder(identifier) else {
      let name = unsafe String(cString: avcodec_get_name(identifier))
      throw gateway.error("decode", "FFmpeg has no decoder for \(name) here")
    }
    var made: UnsafeMutablePointer<AVCodecContext>? = unsafe avcodec_alloc_context3(codec)
    do throws(VideoError) {
      let decoder = unsafe try gateway.allocated("decode", made)
      try gateway("decode", unsafe avcodec_parameters_to_context(decoder, stream.pointee.codecpar))
      unsafe decoder.pointee.pkt_timebase = stream.pointee.time_base
      unsafe decoder.pointee.thread_count = 1
      unsafe decoder.pointee.flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_UNALIGNED
      unsafe decoder.pointee.max_pixels = Int64(Demuxer.longestSide) * Int64(Demuxer.longestSide)
      try gateway("decode", unsafe avcodec_open2(decoder, codec, nil))
      unsafe frame = try gateway.allocated("decode", unsafe av_frame_alloc())
    } catch {
      unsafe avcodec_free_context(&made)
      throw error
    }
    unsafe context = unsafe made
  }

  deinit {
    unsafe av_frame_free(&frame)
    unsafe avcodec_free_context(&context)
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
    try gateway("decode", unsafe avcodec_send_packet(context, packet))
    while true {
      let code = unsafe avcodec_receive_frame(context, frame)
      if code == tamring_ffmpeg_again() || code == tamring_ffmpeg_eof() { return }
      try gateway("decode", code)
      try use(unsafe DecodedFrame(frame))
    }
  }

  /// Resets the decoder, so that decoding can start at another entry point, also after the end.
  func reset() { unsafe avcodec_flush_buffers(context) }
}

/// A decoded picture. It is valid only during the call that it is passed to.
@safe
struct DecodedFrame {
  let pointer: UnsafeMutablePointer<AVFrame>

  init(_ pointer: UnsafeMutablePointer<AVFrame>) { unsafe self.pointer = pointer }

  /// Pixels, before rotation.
  var width: Int { unsafe Int(pointer.pointee.width) }
  var height: Int { unsafe Int(pointer.pointee.height) }
  var time: Int64 { unsafe pointer.pointee.pts }

  /// Whether the decoder concealed an error in it: FFmpeg "succeeds" on damaged data, and only sets this flag.
  var isDamaged: Bool {
    unsafe pointer.pointee.decode_error_flags != 0 || pointer.pointee.flags & AV_FRAME_FLAG_CORRUPT != 0
  }
}
