// A data folder, listed once, and looked up by file name. Which file belongs to a row is for the annotation source to say.
import Foundation

/// The video files below a list's data folder: `data.path` with `data.train_videos` or `data.validation_videos`.
public struct VideoFolder: Sendable {
  /// The data folder.
  public let root: String
  private let pathsByStem: [String: [String]]

  /// Extensions of video files, the preferred one first.
  static let extensions = ["mp4", "mkv", "webm", "avi", "mov"]
  /// Names of the folders that data sets keep their splits in.
  static let splits = ["train", "training", "val", "validation", "test", "testing"]

  /// Lists the folder `root` and everything below it.
  ///
  /// - Throws: `DatasetError` naming a folder that cannot be read.
  public init(scanning root: String) throws {
    self.init(root: root, paths: try videoFiles(below: root))
  }

  /// - Parameter paths: relative to `root`, of files with a video's extension.
  init(root: String, paths: [String]) {
    self.root = root
    pathsByStem = Dictionary(grouping: paths, by: { VideoFolder.stem(of: $0) })
  }

  /// The paths, relative to `root`, of the files whose name without its extension is `stem`, in any folder; sorted by
  /// UTF-8 bytes.
  public func paths(stem: String) -> [String] { pathsByStem[stem, default: []] }

  /// Whether there is a video file at `path`, relative to `root`.
  public func contains(_ path: String) -> Bool { paths(stem: VideoFolder.stem(of: path)).contains(path) }

  private static func stem(of path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    return String(name.lastIndex(of: ".").map { name[..<$0] } ?? name)
  }

  /// The lowercase extension of `path`, if it is a video's.
  static func videoExtension(of path: String) -> String? {
    guard let dot = path.lastIndex(of: ".") else { return nil }
    let suffix = path[path.index(after: dot)...].lowercased()
    return extensions.contains(suffix) ? suffix : nil
  }
}
