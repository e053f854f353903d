// Where under a data folder the file of an annotated clip lies. The folder is read once; nothing is opened here.
import Foundation

/// The video files under a data folder, found by the names that annotation lists imply.
///
/// Kinetics: `ID_SSSSSS_EEEEEE.ext` or else `ID.ext`, in a folder named after the class (spaces or `_`) at any depth,
/// or else flat: in the data folder itself or its `train`, `val`, `test` and the like.
/// Moments: the path as given, in the data folder or its `training`, `validation` and the like.
public struct ClipLayout: Sendable {
  /// The data folder.
  public let root: String
  private let pathsByStem: [String: [String]]

  private static let extensions = ["mp4", "mkv", "webm", "avi", "mov"]
  private static let splits = ["train", "training", "val", "validation", "test", "testing"]

  /// Reads the folder `root` and all below it, once.
  ///
  /// - Throws: `VideoIndexError` naming a folder that cannot be read.
  public init(scanning root: String) throws {
    self.init(root: root, paths: try videoFiles(below: root))
  }

  /// - Parameter paths: relative to `root`, of files with a video's extension.
  init(root: String, paths: [String]) {
    self.root = root
    pathsByStem = Dictionary(grouping: paths, by: { ClipLayout.stem(of: $0) })
  }

  /// The path of `clip`'s file relative to `root`, or nil if it is missing.
  public func path(of clip: AnnotatedClip) -> String? {
    switch clip.format {
    case .kinetics:
      // A clip cut to its times is the better match than a file with only the video's id.
      return match(clip.id, label: clip.label) ?? match(clip.video, label: clip.label)
    case .moments:
      let known = pathsByStem[ClipLayout.stem(of: clip.video), default: []]
      let given = clip.video.hasPrefix("./") ? String(clip.video.dropFirst(2)) : clip.video
      let places = [given] + ClipLayout.splits.map { "\($0)/\(given)" }
      for place in places { if let path = known.first(where: { $0 == place }) { return path } }
      return nil
    }
  }

  private func match(_ stem: String, label: String?) -> String? {
    let candidates = pathsByStem[stem, default: []].compactMap { path -> (rank: Int, path: String)? in
      let folder = path.split(separator: "/").dropLast()
      let isFlat = folder.isEmpty || (folder.count == 1 && ClipLayout.splits.contains(folder[0].lowercased()))
      let isClass = folder.last.map { label == nil || plain($0) == plain(label ?? "") } ?? false
      guard isClass || isFlat, let suffix = ClipLayout.videoExtension(of: path) else { return nil }
      let preference = ClipLayout.extensions.firstIndex(of: suffix) ?? ClipLayout.extensions.count
      return (preference + (isClass ? 0 : ClipLayout.extensions.count), path)
    }
    return candidates.min { $0.rank < $1.rank }?.path
  }

  private func plain(_ name: some StringProtocol) -> String {
    String(name.map { $0 == " " || $0 == "/" ? "_" : $0 })
  }

  private static func stem(of path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    return String(name.lastIndex(of: ".").map { name[..<$0] } ?? name)
  }

  /// The extension of `path` in small letters, if it is one of a video.
  static func videoExtension(of path: String) -> String? {
    guard let dot = path.lastIndex(of: ".") else { return nil }
    let suffix = path[path.index(after: dot)...].lowercased()
    return extensions.contains(suffix) ? suffix : nil
  }
}
