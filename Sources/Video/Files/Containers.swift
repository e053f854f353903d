// Which of FFmpeg's demuxers may read a clip: those of files that hold their video themselves.
import CFFmpeg

enum Containers {
  /// Demuxers that open other files or addresses, read devices, or take single images, text or drawings for a video.
  private static let refused: Set<String> = [
    // Lists of other files.
    "concat", "dash", "hls", "applehttp", "imf", "webm_dash_manifest", "image2", "sdp", "rtsp", "rtp", "sap",
    "vapoursynth",
    "avisynth", "lavfi",
    // Single images and images in a row.
    "image2pipe", "ico", "fits", "alias_pix", "brender_pix",
    // Text and its drawings; raw numbers that any file could be.
    "ffmetadata", "tty", "bin", "xbin", "adf", "idf", "rawvideo", "data", "vpk", "txd",
    // Subtitles.
    "aqtitle", "ass", "jacosub", "lrc", "microdvd", "mpl2", "mpsub", "pjs", "realtext", "sami", "scc", "srt", "stl",
    "subviewer", "subviewer1", "sup", "tedcaptions", "vobsub", "vplayer", "webvtt",
  ]

  /// Names for FFmpeg's `format_whitelist`.
  static let whitelist: String = {
    var names: [String] = []
    var state: UnsafeMutableRawPointer?
    while let format = unsafe av_demuxer_iterate(&state) {
      let list = unsafe String(cString: format.pointee.name)
      guard unsafe format.pointee.flags & AVFMT_NOFILE == 0, isAllowed(list) else { continue }
      names.append(list)
    }
    return names.joined(separator: ",")
  }()

  /// - Parameter names: of a demuxer: one, or several separated by commas.
  static func isAllowed(_ names: String) -> Bool {
    !names.split(separator: ",").contains { refused.contains(String($0)) || $0.hasSuffix("_pipe") }
  }

  /// Why a file of this kind is no video.
  static func refusal(_ names: String) -> String {
    let lists: Set = ["concat", "dash", "hls", "applehttp", "imf", "webm_dash_manifest", "sdp", "vobsub"]
    if names.split(separator: ",").contains(where: { lists.contains(String($0)) }) {
      return "it is a list of other files (\(names)), not a video file"
    }
    return names.hasSuffix("_pipe")
      ? "it is a single image (\(names.dropLast(5))), not a video file" : "it is no video file (\(names))"
  }
}
