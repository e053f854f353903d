// Moments in Time: lists of paths with their labels.

/// Without a header: `path/file.mp4,label[,…]`. A file is at its path in the data folder, or in the folder's `training`,
/// `validation` and the like.
public struct MomentsAnnotations: AnnotationSource {
  public let name = "moments"
  public let appearance = "rows path.mp4,label"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    list.firstFields?.first.flatMap(VideoFolder.videoExtension) != nil
  }

  public func clips(in list: AnnotationList) throws -> [AnnotatedClip] {
    try list.records().map { record in
      let path = record.fields[0]
      guard VideoFolder.videoExtension(of: path) != nil else {
        throw DatasetError.badData(list.name, line: record.line, "'\(path)' is no path of a video file")
      }
      let label = record.fields.count > 1 && !record.fields[1].isEmpty ? record.fields[1] : nil
      return AnnotatedClip(id: path, video: path, label: label, line: record.line)
    }
  }

  public func path(of clip: AnnotatedClip, in folder: VideoFolder) -> String? {
    let given = clip.video.hasPrefix("./") ? String(clip.video.dropFirst(2)) : clip.video
    return ([given] + VideoFolder.splits.map { "\($0)/\(given)" }).first(where: folder.contains)
  }
}
