// Selects the files to probe from an annotation list, and lists each row that is left out with a reason.

/// The clips of an annotation list whose file and class are known, and the rejected ones. No file is opened yet.
public struct ClipCandidates: Equatable, Sendable {
  public struct Candidate: Equatable, Sendable {
    public let id: String
    /// Relative to the data folder.
    public let path: String
    /// The number of its class.
    public let label: Int
  }

  /// In the list's order.
  public let found: [Candidate]
  /// In the list's order.
  public let rejected: [RejectedClip]

  /// Every row of `annotations` becomes either a candidate or a rejected clip.
  public init(of annotations: Annotations, classes: ClassList, folder: VideoFolder) {
    var found: [Candidate] = []
    var rejected: [RejectedClip] = []
    var lines: [String: Int] = [:]
    var owners: [String: String] = [:]
    for clip in annotations.clips {
      let path = annotations.source.path(of: clip, in: folder)
      func reject(_ reason: String) { rejected.append(RejectedClip(id: clip.id, path: path ?? "", reason: reason)) }
      if let earlier = lines[clip.id] {
        reject("listed twice, in lines \(earlier) and \(clip.line) of \(annotations.name)")
        continue
      }
      lines[clip.id] = clip.line
      guard let label = clip.label else {
        reject("has no label")
        continue
      }
      guard let number = classes.number(of: label) else {
        reject("its label '\(label)' is none of the \(classes.names.count) classes")
        continue
      }
      guard let path else {
        reject("missing: no such video file below the data folder")
        continue
      }
      if let owner = owners.updateValue(clip.id, forKey: path) {
        reject("its file is that of the clip '\(owner)'")
        continue
      }
      found.append(Candidate(id: clip.id, path: path, label: number))
    }
    self.found = found
    self.rejected = rejected
  }
}
