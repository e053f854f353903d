// What the name of a file says: its stem, its extension, and whether it can be a video.

enum FileNames {
  /// Extensions that win where several files have the same stem, the preferred one first.
  static let preferred = ["mp4", "mkv", "webm", "avi", "mov"]

  static let images: Set<String> = ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm"]

  /// Extensions of files that lie beside videos and are none. All others may be videos: FFmpeg opens hundreds of kinds.
  static let companions: Set<String> = images.union([
    "txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "md", "html", "htm", "pdf", "log",
    "srt", "vtt", "ass", "nfo", "description", "url", "md5", "sha1", "sha256", "part", "ytdl", "tmp", "crdownload",
    "aria2", "pkl", "npy", "npz", "pt", "pth", "h5", "hdf5", "mdb", "db", "parquet", "arrow", "tar", "gz", "tgz", "zip",
    "rar", "7z", "bz2", "xz", "py", "sh", "ipynb", "wav", "mp3", "m4a", "flac", "aac", "ogg", "opus", "cls", "idx",
  ])

  /// Extensions of videos. They only decide whether a folder without a list is one of videos.
  static let videos: Set<String> = [
    "mp4", "m4v", "mkv", "webm", "avi", "mov", "qt", "mpg", "mpeg", "mpe", "mpv", "m1v", "m2v", "m2p", "m2ts", "mts",
    "ts", "vob", "wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "ogm", "mxf", "rm", "rmvb", "divx", "dv", "gif",
    "y4m",
    "h264", "264", "h265", "265", "hevc", "ivf", "obu", "nut", "mjpeg", "mjpg", "amv", "wtv", "dav", "mk3d", "vc1",
    "apng",
  ]

  /// The last component of `path`.
  static func name(of path: some StringProtocol) -> Substring {
    let utf8 = Substring(path).utf8
    guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return Substring(path) }
    return Substring(utf8[utf8.index(after: slash)...])
  }

  /// The name of `path` up to its last dot.
  static func stem(of path: some StringProtocol) -> Substring {
    let name = name(of: path)
    guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex else { return name }
    return name[..<dot]
  }

  /// What follows the last dot of the name of `path`, in lower case; empty if there is none.
  static func suffix(of path: some StringProtocol) -> String {
    let name = name(of: path)
    guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex else { return "" }
    return name[name.utf8.index(after: dot)...].lowercased()
  }

  /// Whether `path` ends as a file's name does: a dot, and up to five letters or digits, not digits alone.
  static func hasExtension(_ path: some StringProtocol) -> Bool {
    let suffix = suffix(of: path)
    return (1...5).contains(suffix.utf8.count)
      && suffix.utf8.allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
      && !suffix.utf8.allSatisfy(isDigit)
  }

  /// Whether `path` ends as a compressed tar archive's name does.
  static func isCompressedArchive(_ path: some StringProtocol) -> Bool {
    let name = name(of: path).lowercased()
    return [".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4"].contains(
      where: name.hasSuffix)
  }

  static func canBeVideo(_ path: some StringProtocol) -> Bool { !companions.contains(suffix(of: path)) }

  static func isVideo(_ path: some StringProtocol) -> Bool { videos.contains(suffix(of: path)) }

  static func isImage(_ path: some StringProtocol) -> Bool { images.contains(suffix(of: path)) }

  /// How names of classes are compared with names of folders: letters and digits, in lower case.
  static func plain(_ name: some StringProtocol) -> String {
    String(
      String.UnicodeScalarView(
        name.lowercased().unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil }))
  }
}

func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

/// Whether a file of this name is a video, by its extension.
public func isVideo(_ path: String) -> Bool { FileNames.isVideo(path) }

/// Whether a file of this name is an image.
public func isImage(_ path: String) -> Bool { FileNames.isImage(path) }

/// Whether `text` is a whole number, such as `-1`.
func isNumber(_ text: some StringProtocol) -> Bool {
  let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
  return (1...9).contains(digits.count) && digits.allSatisfy(isDigit)
}
