// Selects the files to probe from an annotation list, and lists each row that is left out with a reason.

/// The clips of an annotation list whose file and class are known, and the rejected ones. No file is opened yet.
public struct ClipCandidates: Sendable {
  public typealias Candidate = ClipCandidate

  /// In the list's order.
  public private(set) var found = CandidateList()
  /// In the list's order.
  public private(set) var rejected: [RejectedClip] = []
  /// Rows of the list.
  public var rows: Int { found.count + rejected.count }

  private let classes: ClassList
  /// Reasons that many rows share, made once.
  private var reasons: [String: String] = [:]

  /// None.
  init(classes: ClassList) { self.classes = classes }

  /// Every row of `annotations` becomes either a candidate or a rejected clip.
  ///
  /// - Throws: `DatasetError` if the list cannot be read again.
  public init(of annotations: Annotations, classes: ClassList, folder: VideoFolder) throws {
    self.classes = classes
    folder.classes = Set(classes.names.map { FileNames.plain($0) })
    try annotations.forEachRow { row in
      switch row {
      case .clip(let clip): add(clip, annotations, folder)
      case .unreadable(let row):
        rejected.append(RejectedClip(id: "\(row.place)", path: "", reason: "cannot be read: \(row.reason)"))
      }
    }
  }

  private mutating func add(_ clip: AnnotatedClip, _ annotations: Annotations, _ folder: VideoFolder) {
    let file = annotations.source.file(of: clip, in: folder)
    func reason(_ kind: String, _ text: () -> String) -> String {
      if let known = reasons[kind] { return known }
      let new = text()
      reasons[kind] = new
      return new
    }
    func reject(_ reason: String) {
      rejected.append(RejectedClip(id: clip.id, path: file?.path ?? "", reason: reason))
    }
    guard !clip.labels.isEmpty else { return reject("has no label") }
    var numbers: [Int] = []
    for label in clip.labels {
      guard let number = classes.number(of: label) else {
        return reject(reason("label \(label)") { strange(label) })
      }
      if !numbers.contains(number) { numbers.append(number) }
    }
    numbers.sort()
    guard let file else {
      return reject(reason("missing") { "missing: no file or folder of that name; searched \(folder.searched)" })
    }
    if let earlier = found.number(id: clip.id) {
      return reject(
        "listed twice, in lines \(found.line(earlier)) and \(clip.place.line) of \(annotations.name)"
          + (found[earlier].labels == numbers
            ? ""
            : ", as '\(names(found[earlier].labels))' and as '\(names(numbers))'"))
    }
    if let owner = found.number(of: file) { return reject("its file is that of the clip '\(found.id(owner))'") }
    found.append(
      ClipCandidate(id: clip.id, path: file.path, labels: numbers, part: file.part, bytes: file.bytes),
      line: clip.place.line)
  }

  private func names(_ numbers: [Int]) -> String { numbers.map { classes.names[$0] }.joined(separator: "; ") }

  private func strange(_ label: String) -> String {
    if label.hasPrefix("-"), isNumber(label) { return "its label is \(label), which means none" }
    return "its label '\(label)' is none of the \(classes.names.count) classes"
  }
}
