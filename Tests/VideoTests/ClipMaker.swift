// Makes small videos of many kinds for tests, in memory.
import CFFmpeg
import Foundation
import Testing

@testable import Video

/// How a test's video is made.
struct ClipMaker {
  var encoder = "libx264"
  /// FFmpeg's name of the container.
  var container = "mp4"
  var frames = 60
  var width = 96
  var height = 64
  /// Pictures from one key frame to the next.
  var group = 12
  var betweenPictures = 2
  /// The encoder's own options.
  var options: [String: String] = [:]
  /// The muxer's own options.
  var muxer: [String: String] = [:]
  var format = AV_PIX_FMT_YUV420P
  /// Gives each packet its decoding time as presentation time, as bad encoders did.
  var losesOrder = false

  /// The bytes of the file.
  func make() throws -> Data {
    // A real file: some muxers write sizes when they have finished, or move their index, which takes seeking.
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).clip").path
    defer { try? FileManager.default.removeItem(atPath: place) }
    var output: UnsafeMutablePointer<AVFormatContext>?
    try check(avformat_alloc_output_context2(&output, nil, container, "file:" + place))
    let file = try #require(output)
    defer { avformat_free_context(file) }
    // Encoders write to standard error.
    _ = FFmpegGateway.silenced
    let codec = try #require(avcodec_find_encoder_by_name(encoder), "no encoder \(encoder)")
    var context = avcodec_alloc_context3(codec)
    defer { avcodec_free_context(&context) }
    let made = try #require(context)
    made.pointee.width = Int32(width)
    made.pointee.height = Int32(height)
    made.pointee.pix_fmt = format
    made.pointee.time_base = AVRational(num: 1, den: 25)
    made.pointee.framerate = AVRational(num: 25, den: 1)
    made.pointee.gop_size = Int32(group)
    made.pointee.max_b_frames = codec.pointee.capabilities & AV_CODEC_CAP_DELAY != 0 ? Int32(betweenPictures) : 0
    made.pointee.thread_count = 1
    made.pointee.bit_rate = 400_000
    made.pointee.flags |= AV_CODEC_FLAG_BITEXACT
    if file.pointee.oformat.pointee.flags & AVFMT_GLOBALHEADER != 0 {
      made.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER
    }
    var settings: OpaquePointer?
    defer { av_dict_free(&settings) }
    for (key, value) in options { av_dict_set(&settings, key, value, 0) }
    if encoder == "libx264" { av_dict_set(&settings, "preset", "veryfast", AV_DICT_DONT_OVERWRITE) }
    try check(avcodec_open2(made, codec, &settings))
    let stream = try #require(avformat_new_stream(file, nil))
    try check(avcodec_parameters_from_context(stream.pointee.codecpar, made))
    stream.pointee.time_base = made.pointee.time_base
    stream.pointee.avg_frame_rate = made.pointee.framerate
    file.pointee.flags |= AVFMT_FLAG_BITEXACT
    try check(avio_open(&file.pointee.pb, "file:" + place, AVIO_FLAG_WRITE))
    var own: OpaquePointer?
    defer { av_dict_free(&own) }
    for (key, value) in muxer { av_dict_set(&own, key, value, 0) }
    try check(avformat_write_header(file, &own))
    var picture = av_frame_alloc()
    var packet = av_packet_alloc()
    defer {
      av_frame_free(&picture)
      av_packet_free(&packet)
    }
    for number in 0...frames {
      if number < frames {
        let frame = try #require(picture)
        av_frame_unref(frame)
        frame.pointee.format = format.rawValue
        frame.pointee.width = Int32(width)
        frame.pointee.height = Int32(height)
        frame.pointee.pts = Int64(number)
        try check(av_frame_get_buffer(frame, 0))
        draw(number, frame)
        try check(avcodec_send_frame(made, frame))
      } else {
        try check(avcodec_send_frame(made, nil))
      }
      while avcodec_receive_packet(made, packet) >= 0 {
        packet?.pointee.duration = 1
        av_packet_rescale_ts(packet, made.pointee.time_base, stream.pointee.time_base)
        packet?.pointee.stream_index = 0
        if losesOrder { packet?.pointee.pts = packet?.pointee.dts ?? 0 }
        try check(av_interleaved_write_frame(file, packet))
      }
    }
    try check(av_write_trailer(file))
    avio_closep(&file.pointee.pb)
    return try Data(contentsOf: URL(fileURLWithPath: place))
  }

  /// A gradient that moves, with a bright square that moves the other way: no two pictures are alike.
  private func draw(_ number: Int, _ frame: UnsafeMutablePointer<AVFrame>) {
    let planes = [frame.pointee.data.0, frame.pointee.data.1, frame.pointee.data.2]
    let rows = [frame.pointee.linesize.0, frame.pointee.linesize.1, frame.pointee.linesize.2]
    for plane in 0..<3 {
      guard let base = planes[plane], rows[plane] > 0 else { continue }
      let isSmall = plane > 0 && [AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P].contains(format)
      for row in 0..<(isSmall ? height / 2 : height) {
        for column in 0..<Int(rows[plane]) {
          let isSquare = abs(column - (90 - number)) < 8 && abs(row - 30) < 8
          base[row * Int(rows[plane]) + column] =
            plane > 0
            ? UInt8(100 + (number * 3 + plane * 7 + row) % 60)
            : isSquare ? 230 : UInt8((column * 2 + row + number * 5) % 200 + 16)
        }
      }
    }
  }

  private func check(_ code: Int32) throws {
    guard code >= 0 else {
      throw ClipMakerError(text: "\(encoder) in \(container): \(FFmpegGatewayMessage.text(code))")
    }
  }
}

struct ClipMakerError: Error { var text: String }

enum FFmpegGatewayMessage {
  static func text(_ code: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    av_strerror(code, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Writes bytes to a file in a folder of its own, for the time of a call.
func withFile<T>(_ bytes: Data, named name: String = "clip.mp4", _ body: (String) throws -> T) throws -> T {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tamring-\(UUID())")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let file = folder.appendingPathComponent(name)
  try bytes.write(to: file)
  return try body(file.path)
}
