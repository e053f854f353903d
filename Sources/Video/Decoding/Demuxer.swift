// Opens a video file and reads the packets of its video stream. It decodes nothing.
import CFFmpeg
import Shared

/// Owns one `AVFormatContext`. It belongs to one thread.
@safe
final class Demuxer {
  /// The most pixels on a side of a picture.
  static let longestSide: Int32 = 16384

  let gateway: FFmpegGateway
  let file: ClipFile
  let rules: VideoRules
  let budget: ProcessorBudget
  /// FFmpeg's names of the container.
  let container: String
  /// Whether the file is cut off, and taken nevertheless.
  private(set) var isTruncated = false
  private let input: FileInput
  private var context: UnsafeMutablePointer<AVFormatContext>?
  let stream: UnsafeMutablePointer<AVStream>
  /// The stream's parameters as the file's head gives them. Every decoder starts with these.
  private var parametersCopy: UnsafeMutablePointer<AVCodecParameters>?
  let parameters: UnsafeMutablePointer<AVCodecParameters>
  private let streamIndex: Int32
  /// Grows with each packet that is read.
  let progress: DecodeProgress?
  /// Packets of the stream that were read, empty ones too.
  private(set) var packetsRead = 0

  /// Opens a file. Nothing in it can make FFmpeg open another file or a network address.
  /// - Parameter head: what is known of it; otherwise FFmpeg guesses what kind of file it is, and decodes its
  ///   beginning.
  /// - Throws: `VideoError` if it is not a video, its codec has no decoder here, it is cut off, or it is beyond
  ///   `rules`.
  init(
    _ file: ClipFile, _ rules: VideoRules, _ budget: ProcessorBudget, head: FileHead? = nil,
    progress: DecodeProgress? = nil
  ) throws(VideoError) {
    _ = FFmpegGateway.silenced
    let gateway = FFmpegGateway(path: file.path, file: file, budget: budget)
    (self.gateway, self.file, self.rules, self.budget, self.progress) = (gateway, file, rules, budget, progress)
    guard file.size <= rules.bytes else {
      throw gateway.error("open", "its \(file.size) bytes are more than the recipe's limit of \(rules.bytes)")
    }
    input = try FileInput(file, budget, gateway)
    var opened = unsafe try Demuxer.open(file, input, head, gateway)
    var copy = unsafe avcodec_parameters_alloc()
    do throws(VideoError) {
      let format = unsafe try gateway.allocated("open", opened)
      let parameters = unsafe try gateway.allocated("open", copy)
      container = unsafe String(cString: format.pointee.iformat.pointee.name)
      let cut = try Truncation.reason(file, container)
      isTruncated = cut != nil
      if let cut, !rules.acceptsTruncated {
        throw gateway.error(
          "read it to its end",
          "the file is truncated: \(cut) (an incomplete download?); data.accept_truncated takes what is there")
      }
      if head == nil { try gateway("read its streams", unsafe avformat_find_stream_info(format, nil)) }
      let found = unsafe try Demuxer.videoStream(format, gateway)
      unsafe stream = found
      unsafe streamIndex = found.pointee.index
      for index in 0..<Int(unsafe format.pointee.nb_streams) where index != Int(unsafe found.pointee.index) {
        unsafe format.pointee.streams[index]?.pointee.discard = AVDISCARD_ALL
      }
      try gateway("read its streams", unsafe avcodec_parameters_copy(parameters, found.pointee.codecpar))
      if let head { unsafe parameters.pointee.video_delay = head.delay }
      unsafe self.parameters = unsafe parameters
      unsafe try Demuxer.checkPicture(parameters, rules, gateway)
      try gateway.check()
    } catch {
      unsafe avcodec_parameters_free(&copy)
      unsafe avformat_close_input(&opened)
      throw error
    }
    unsafe parametersCopy = unsafe copy
    unsafe context = unsafe opened
  }

  deinit {
    unsafe avcodec_parameters_free(&parametersCopy)
    unsafe avformat_close_input(&context)
  }

  /// Finds out what kind of file it is.
  private static func kind(_ file: ClipFile, _ input: FileInput, _ gateway: FFmpegGateway) throws(VideoError)
    -> UnsafePointer<AVInputFormat>?
  {
    var kind: UnsafePointer<AVInputFormat>?
    let probed = unsafe av_probe_input_buffer2(input.context, &kind, file.path, nil, 0, 0)
    guard probed >= 0, let found = unsafe kind else {
      if let reason = try Truncation.lackOfMovieBox(file) { throw gateway.error("open", reason) }
      throw gateway.error("open", probed)
    }
    let names = unsafe String(cString: found.pointee.name)
    guard Containers.isAllowed(names) else { throw gateway.error("open", Containers.refusal(names)) }
    return unsafe found
  }

  /// Reads the file's head.
  private static func open(_ file: ClipFile, _ input: FileInput, _ head: FileHead?, _ gateway: FFmpegGateway)
    throws(VideoError) -> UnsafeMutablePointer<AVFormatContext>?
  {
    let kind =
      if let head { unsafe av_find_input_format(head.container.name) } else { unsafe try kind(file, input, gateway) }
    var format: UnsafeMutablePointer<AVFormatContext>? = unsafe avformat_alloc_context()
    let made = unsafe try gateway.allocated("open", format)
    unsafe made.pointee.pb = input.context
    unsafe made.pointee.io_open = { _, context, _, _, _ in
      unsafe context?.pointee = nil
      return -EACCES
    }
    unsafe made.pointee.interrupt_callback = unsafe AVIOInterruptCB(
      callback: FileInput.interrupt, opaque: input.opaque)
    var options: OpaquePointer?
    _ = unsafe av_dict_set(&options, "format_whitelist", Containers.whitelist, 0)
    // No protocol has this name, so none is opened.
    _ = unsafe av_dict_set(&options, "protocol_whitelist", "none", 0)
    // It frees the context if it fails.
    let code = unsafe avformat_open_input(&format, file.path, kind, &options)
    unsafe av_dict_free(&options)
    if code >= 0 { return unsafe format }
    if let reason = try Truncation.lackOfMovieBox(file) { throw gateway.error("open", reason) }
    throw gateway.error("open", code)
  }

  /// The stream to decode. A cover picture or a thumbnail is no video.
  private static func videoStream(_ format: UnsafeMutablePointer<AVFormatContext>, _ gateway: FFmpegGateway)
    throws(VideoError) -> UnsafeMutablePointer<AVStream>
  {
    let noVideo = AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS
    let streams = unsafe (0..<Int(unsafe format.pointee.nb_streams)).compactMap { unsafe format.pointee.streams[$0] }
    let videos = unsafe streams.filter { unsafe $0.pointee.codecpar.pointee.codec_type == AVMEDIA_TYPE_VIDEO }
    let real = unsafe videos.filter { unsafe $0.pointee.disposition & noVideo == 0 }
    guard let first = unsafe real.first else {
      throw gateway.error(
        "read its streams", unsafe videos.isEmpty ? "no video stream" : "no video stream, only a cover picture")
    }
    let best = unsafe av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, nil, 0)
    return unsafe real.first { unsafe $0.pointee.index == best } ?? first
  }

  /// - Throws: `VideoError` if no decoder can be there for it, or it has no size, or too large a one.
  private static func checkPicture(
    _ parameters: UnsafeMutablePointer<AVCodecParameters>, _ rules: VideoRules, _ gateway: FFmpegGateway
  ) throws(VideoError) {
    let codec = unsafe parameters.pointee.codec_id
    guard unsafe avcodec_find_decoder(codec) != nil else {
      throw gateway.error("decode", "the decoder for \(unsafe codecName(parameters)) is missing from this FFmpeg")
    }
    let (width, height) = unsafe (parameters.pointee.width, parameters.pointee.height)
    guard width > 0, height > 0 else { throw gateway.error("read its streams", "the video has no picture size") }
    guard width <= longestSide, height <= longestSide else {
      throw gateway.error("read its streams", "a picture of \(width)x\(height) is beyond \(longestSide)")
    }
    guard Int(width) * Int(height) <= rules.pixels else {
      throw gateway.error(
        "read its streams", "a picture of \(width)x\(height) has more than the recipe's limit of \(rules.pixels) pixels"
      )
    }
  }

  /// The codec's name as people write it, or the four letters by which the file calls it.
  private static func codecName(_ parameters: UnsafeMutablePointer<AVCodecParameters>) -> String {
    let codec = unsafe parameters.pointee.codec_id
    if codec != AV_CODEC_ID_NONE { return unsafe String(cString: avcodec_get_name(codec)).uppercased() }
    let tag = unsafe parameters.pointee.codec_tag
    let letters = (0..<4).map { UInt8(truncatingIfNeeded: tag >> (8 * UInt32($0))) }
    guard letters.allSatisfy({ (32..<127).contains($0) }) else { return "an unknown codec" }
    let text = String(decoding: letters, as: UTF8.self)
    return newCodecs[text] ?? "the codec '\(text)'"
  }

  /// What an older FFmpeg does not know even by name.
  private static let newCodecs = ["vvc1": "VVC", "vvi1": "VVC", "evc1": "EVC", "apv1": "APV", "av02": "AV2"]

  /// Reads the next packet of the video stream.
  /// - Returns: false at the end of the file.
  func read(into packet: UnsafeMutablePointer<AVPacket>) throws(VideoError) -> Bool {
    while true {
      unsafe av_packet_unref(packet)
      let code = unsafe av_read_frame(context, packet)
      if code < 0 { try gateway.check() }
      if code == tamring_ffmpeg_eof() { return false }
      if code < 0, rules.acceptsTruncated {
        isTruncated = true
        return false
      }
      try gateway("read its packets", code)
      progress?.moved()
      if unsafe packet.pointee.stream_index == streamIndex {
        packetsRead += 1
        return true
      }
      try gateway.checkTime()
    }
  }

  /// Goes to the entry point at a decoding time, or to one before it.
  func seek(to time: Int64) throws(VideoError) {
    try gateway("read its packets", unsafe av_seek_frame(context, streamIndex, time, AVSEEK_FLAG_BACKWARD))
  }

  /// How many packets of the stream the file's own table promises, where it has one of all of them; 0 elsewhere.
  var promisedPackets: Int {
    container.hasPrefix("mov,") ? unsafe Int(tamring_ffmpeg_table_entries(stream)) : 0
  }

  /// Seconds; 0 if the file does not say.
  var duration: Double {
    let ticks = unsafe context?.pointee.duration ?? 0
    return ticks > 0 ? Double(ticks) / Double(AV_TIME_BASE) : 0
  }

  /// Frames in a second; 0 if neither the file nor its packets say.
  var frameRate: Double {
    let rate = unsafe stream.pointee.avg_frame_rate
    return rate.num > 0 && rate.den > 0 ? Double(rate.num) / Double(rate.den) : 0
  }

  /// Seconds of one tick of the timestamps.
  var tick: Double {
    let base = unsafe stream.pointee.time_base
    return base.num > 0 && base.den > 0 ? Double(base.num) / Double(base.den) : 0
  }
}
