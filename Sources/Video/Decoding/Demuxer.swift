// Opens a video file and reads the packets of its video stream. It decodes nothing.
import CFFmpeg
import Foundation

/// Owns one `AVFormatContext`. It belongs to one thread.
@safe
final class Demuxer {
  /// The most pixels on a side of a picture.
  static let longestSide: Int32 = 16384

  let gateway: FFmpegGateway
  private var context: UnsafeMutablePointer<AVFormatContext>?
  let stream: UnsafeMutablePointer<AVStream>
  private let streamIndex: Int32
  /// Grows with each packet that is read.
  let progress: DecodeProgress?

  /// Opens a local file. Nothing in it can make FFmpeg open another file or a network address.
  /// - Throws: `VideoError` if it is not a regular file, empty, not a video, or has too large a picture.
  init(path: String, progress: DecodeProgress? = nil) throws(VideoError) {
    _ = FFmpegGateway.silenced
    gateway = FFmpegGateway(path: path)
    self.progress = progress
    _ = try FileFacts.size(path)
    // Without the protocol prefix, "a:b.mp4" would be an address.
    var options: OpaquePointer?
    _ = unsafe av_dict_set(&options, "protocol_whitelist", "file", 0)
    var opened: UnsafeMutablePointer<AVFormatContext>?
    let code = unsafe avformat_open_input(&opened, "file:" + path, nil, &options)
    unsafe av_dict_free(&options)
    guard code >= 0, let format = unsafe opened else {
      if FileFacts.lacksMovieBox(path) {
        throw gateway.error("open", "moov atom not found (an incomplete download?)")
      }
      throw gateway.error("open", code)
    }
    var video: Int32 = -1
    do throws(VideoError) {
      // Playlists and image sequences name other files.
      let kind = unsafe String(cString: format.pointee.iformat.pointee.name)
      if ["hls", "dash", "concat", "imf", "image2", "webm_dash_manifest"].contains(kind) {
        throw gateway.error("open", "it is a list of other files (\(kind)), not a video file")
      }
      try gateway("read its streams", unsafe avformat_find_stream_info(format, nil))
      video = unsafe av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, nil, 0)
      guard video >= 0, let found = unsafe format.pointee.streams[Int(video)] else {
        throw gateway.error("read its streams", "no video stream")
      }
      unsafe stream = found
      for index in 0..<Int(unsafe format.pointee.nb_streams) where index != Int(video) {
        unsafe format.pointee.streams[index]?.pointee.discard = AVDISCARD_ALL
      }
      let (width, height) = unsafe (found.pointee.codecpar.pointee.width, found.pointee.codecpar.pointee.height)
      guard width > 0, height > 0 else { throw gateway.error("read its streams", "the video has no picture size") }
      guard width <= Demuxer.longestSide, height <= Demuxer.longestSide else {
        throw gateway.error("read its streams", "a picture of \(width)x\(height) is beyond \(Demuxer.longestSide)")
      }
    } catch {
      unsafe avformat_close_input(&opened)
      throw error
    }
    streamIndex = video
    unsafe context = format
  }

  deinit { unsafe avformat_close_input(&context) }

  /// Reads the next packet of the video stream.
  /// - Returns: false at the end of the file.
  func read(into packet: UnsafeMutablePointer<AVPacket>) throws(VideoError) -> Bool {
    while true {
      unsafe av_packet_unref(packet)
      let code = unsafe av_read_frame(context, packet)
      if code == tamring_ffmpeg_eof() { return false }
      try gateway("read its packets", code)
      progress?.moved()
      if unsafe packet.pointee.stream_index == streamIndex { return true }
    }
  }

  /// Seconds; 0 if the file does not say.
  var duration: Double {
    let ticks = unsafe context?.pointee.duration ?? 0
    return ticks > 0 ? Double(ticks) / Double(AV_TIME_BASE) : 0
  }
}
