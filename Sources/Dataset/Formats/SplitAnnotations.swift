// The split files of UCF101 and HMDB51.

/// Rows `Class/v_Class_g08_c01.avi[ 1]`. The class is the folder in the row, so that test lists, which have no number,
/// have labels too. A file is at its path, or has its name in a folder named after its class, anywhere.
public struct UCF101Annotations: AnnotationSource {
  public let name = "ucf101"
  public let appearance = "a UCF101 split (`Class/v_Class_g08_c01.avi 1`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    !list.sample.isEmpty
      && list.sample.allSatisfy { line in
        guard let (folder, name) = try? Self.parts(line) else { return false }
        return name.hasPrefix("v_") && name.hasSuffix(".avi")
          && name.dropFirst(2).lowercased().hasPrefix(folder.lowercased())
      }
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachLine(take) { line throws(RowProblem) in
      let (folder, name) = try Self.parts(line)
      let path = "\(folder)/\(name)"
      return AnnotatedClip(id: path, video: path, label: folder, place: line.place)
    }
  }

  private static func parts(_ line: ListLine) throws(RowProblem) -> (folder: String, name: String) {
    let words = line.words
    let path = (words.first ?? "").split(separator: "/").filter { $0 != "." }
    guard words.count <= 2, path.count >= 2, words.count == 1 || isNumber(words[1]) else {
      throw RowProblem(expected: "Class/v_Class_g08_c01.avi, and a number or none")
    }
    return (String(path[path.count - 2]), String(path[path.count - 1]))
  }

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? { splitFile(clip, folder) }
}

/// Files `CLASS_test_splitN.txt`, one for each class, with rows `name.avi CODE`: 1 is training, 2 is test, 0 is
/// neither. The recipe names them by their folder, which means split 1, or by a pattern, such as
/// `splits/*_test_split2.txt`, in `data.train_list` and in `data.validation_list` alike.
public struct HMDB51Annotations: AnnotationSource {
  public let name = "hmdb51"
  public let appearance = "HMDB51 split files (`CLASS_test_split1.txt`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    guard let file = list.files.first, Self.split(file.name) != nil else { return false }
    return list.sample.allSatisfy { ["0", "1", "2"].contains($0.words.last) }
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    let code = list.role == .training ? "1" : "2"
    let splits = list.files.map { Self.split($0.name)?.split }
    // Without a pattern, a folder's first split.
    let wanted: String? = Set(splits).count > 1 ? "1" : nil
    try list.forEachLine(take) { line throws(RowProblem) in
      guard let (folder, split) = Self.split(line.place.file) else {
        throw RowProblem("'\(FileNames.name(of: line.place.file))' is not named CLASS_test_splitN.txt")
      }
      if let wanted, split != wanted { return nil }
      let words = line.words
      guard words.count >= 2, let given = words.last, ["0", "1", "2"].contains(given) else {
        throw RowProblem(expected: "name.avi, and 0, 1 or 2")
      }
      if given != code { return nil }
      let path = "\(folder)/" + words.dropLast().joined(separator: " ")
      return AnnotatedClip(id: path, video: path, label: folder, place: line.place)
    }
  }

  /// Class and split that a file's name gives.
  private static func split(_ path: String) -> (folder: String, split: String)? {
    let stem = FileNames.stem(of: path)
    guard let mark = stem.range(of: "_test_split"), mark.lowerBound > stem.startIndex else { return nil }
    return (String(stem[..<mark.lowerBound]), String(stem[mark.upperBound...]))
  }

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? { splitFile(clip, folder) }
}

private func splitFile(_ clip: AnnotatedClip, _ folder: VideoFolder) -> ClipFile? {
  if let path = folder.file(named: clip.video) { return ClipFile(path: path) }
  let name = FileNames.name(of: clip.video)
  let found = folder.paths(stem: FileNames.stem(of: name)).filter { FileNames.name(of: $0) == name }
  let place = FileNames.plain(clip.label ?? "")
  // Another class's folder is no place for it.
  let path =
    found.first { FileNames.plain($0.split(separator: "/").dropLast().last ?? "") == place }
    ?? found.first { !folder.classes.contains(FileNames.plain($0.split(separator: "/").dropLast().last ?? "")) }
  return path.map { ClipFile(path: $0) }
}
