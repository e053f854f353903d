// Moments in Time: lists of paths with their labels.

/// Without a header: `path/file.mp4,label[,votes,votes]`. A file is at its path in the videos folder, or in one of the
/// folder's `training`, `validation` and the like.
public struct MomentsAnnotations: AnnotationSource {
  public let name = "moments"
  public let appearance = "a Moments list (`path.mp4,label,3,1`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    guard let fields = list.firstFields, fields.count == 4 else { return false }
    return FileNames.hasExtension(fields[0]) && !isNumber(fields[1]) && isNumber(fields[2]) && isNumber(fields[3])
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachLine(take) { line throws(RowProblem) in
      let fields = try line.fields()
      let path = fields[0]
      guard !path.isEmpty, fields.count > 1 || FileNames.hasExtension(path) else {
        throw RowProblem(expected: "path.mp4,label")
      }
      let name = fields.count > 1 && !fields[1].isEmpty ? fields[1] : nil
      return AnnotatedClip(id: path, video: path, label: name, place: line.place)
    }
  }
}
