// Decoding everything from the beginning, with as little code as FFmpeg needs: what a frame should be.
import CFFmpeg
import Foundation
import Shared

@testable import Video

enum ReferenceDecoder {
  /// Digests of all pictures in the order in which the decoder gives them, whatever errors it meets between.
  /// - Returns: nil if the file cannot be opened.
  static func digests(_ path: String, offset: Int = 0) -> [Digest128]? {
    var format: UnsafeMutablePointer<AVFormatContext>?
    var options: OpaquePointer?
    if offset > 0 { av_dict_set(&options, "skip_initial_bytes", String(offset), 0) }
    defer { av_dict_free(&options) }
    guard avformat_open_input(&format, "file:" + path, nil, &options) >= 0, let open = format else { return nil }
    defer { avformat_close_input(&format) }
    guard avformat_find_stream_info(open, nil) >= 0 else { return nil }
    let stream = av_find_best_stream(open, AVMEDIA_TYPE_VIDEO, -1, -1, nil, 0)
    guard stream >= 0, let parameters = open.pointee.streams[Int(stream)]?.pointee.codecpar,
      let codec = avcodec_find_decoder(parameters.pointee.codec_id)
    else { return nil }
    var decoder = avcodec_alloc_context3(codec)
    defer { avcodec_free_context(&decoder) }
    avcodec_parameters_to_context(decoder, parameters)
    decoder?.pointee.thread_count = 1
    decoder?.pointee.flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_UNALIGNED
    guard avcodec_open2(decoder, codec, nil) >= 0 else { return nil }
    var packet = av_packet_alloc()
    var frame = av_frame_alloc()
    defer {
      av_packet_free(&packet)
      av_frame_free(&frame)
    }
    var digests: [Digest128] = []
    func receive() {
      while avcodec_receive_frame(decoder, frame) >= 0 { if let frame { digests.append(DecodedFrame(frame).digest()) } }
    }
    while av_read_frame(open, packet) >= 0 {
      if packet?.pointee.stream_index == stream, packet?.pointee.size ?? 0 > 0 {
        _ = avcodec_send_packet(decoder, packet)
        receive()
      }
      av_packet_unref(packet)
    }
    avcodec_send_packet(decoder, nil)
    receive()
    return digests
  }
}
