// Lists of folders of images, one for each clip, as the reference implementation, TSM and MMAction2 write them.

/// Rows `path start end label…`, separated by blanks or `;`: the first and last image of each clip, by the numbers in
/// their names. Test lists have no label.
///
/// **Source:** IBM/action-recognition-pytorch, `VideoDataSet._parse_list`.
public struct ReferenceAnnotations: AnnotationSource {
  public let name = "frames"
  public let appearance = "folders of images (`path start end label`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    let rows = TrailingNumbers.sample(of: list)
    guard !rows.isEmpty else { return false }
    let startAtOne = rows.allSatisfy { $0.numbers[0] == 1 }
    if rows.contains(where: { $0.numbers.count < 3 }) {
      return startAtOne && !rows.nameFiles && rows.contains { $0.numbers[1] > 1 }
    }
    // Start and end mostly come first; in rows of another format that end would often lie before the start.
    let places = rows.map { Self.place($0.numbers) }
    return !places.contains(nil) && places.count { $0 == 0 } * 2 >= places.count && (startAtOne || !rows.nameFiles)
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachNumberedRow(take, expected: "path start end label") { row, place throws(RowProblem) in
      // A path may itself end in a number.
      guard let at = Self.place(row.numbers) else {
        throw RowProblem("the frames \(row.numbers[0]) to \(row.numbers[1]) are none; expected path start end label")
      }
      let path = ([row.path] + row.numbers[..<at].map(String.init)).joined(separator: " ")
      let (first, last) = (row.numbers[at], row.numbers[at + 1])
      return AnnotatedClip(
        id: "\(path)_\(first)_\(last)", video: path, labels: row.numbers[(at + 2)...].map(String.init),
        part: .frames(first, last), place: place)
    }
  }

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? {
    guard let path = folder.file(named: clip.video) else { return nil }
    guard case .frames(let first, let last) = clip.part, FileNames.hasExtension(path) else {
      return ClipFile(path: path, part: clip.part)
    }
    // Frames of a video count from 0. From the first on, it is the video; its decoder may find another number of
    // frames.
    return ClipFile(path: path, part: first == 1 ? .whole : .frames(first - 1, last - 1))
  }

  /// Where start and end are among a row's numbers.
  private static func place(_ numbers: [Int]) -> Int? {
    (0..<(numbers.count - 1)).first { numbers[$0] >= 1 && numbers[$0] <= numbers[$0 + 1] }
  }
}

/// Rows `path frames label…`: the images are numbered from 1. MMAction2's rawframes lists look the same.
///
/// **Source:** mit-han-lab/temporal-shift-module, `TSNDataSet._parse_list`.
public struct TSMAnnotations: AnnotationSource {
  public let name = "tsm"
  public let appearance = "folders of images (`path frames label`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    let rows = TrailingNumbers.sample(of: list)
    return !rows.isEmpty && !rows.nameFiles && rows.allSatisfy { $0.numbers[0] >= 1 }
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachNumberedRow(take, expected: "path frames label") { row, place throws(RowProblem) in
      guard row.numbers[0] >= 1 else {
        throw RowProblem("a clip of \(row.numbers[0]) frames; expected path frames label")
      }
      return AnnotatedClip(
        id: row.path, video: row.path, labels: row.numbers.dropFirst().map(String.init),
        part: .frames(1, row.numbers[0]), place: place)
    }
  }
}

/// Rows `path offset frames label…`: the first image has the number after the offset.
///
/// **Source:** open-mmlab/mmaction2, `RawframeDataset` with `with_offset=True`.
public struct RawframesAnnotations: AnnotationSource {
  public let name = "rawframes"
  public let appearance = "folders of images (`path offset frames label`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    let rows = TrailingNumbers.sample(of: list)
    // The reference's lists never begin at 0.
    return !rows.isEmpty && !rows.nameFiles && rows.contains { $0.numbers[0] == 0 }
      && rows.allSatisfy { $0.numbers.count >= 3 && $0.numbers[0] >= 0 && $0.numbers[1] >= 1 }
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachNumberedRow(take, expected: "path offset frames label") { row, place throws(RowProblem) in
      let numbers = row.numbers
      guard numbers.count >= 3, numbers[0] >= 0, numbers[1] >= 1 else {
        throw RowProblem(expected: "path offset frames label")
      }
      // Numbers of a row have at most nine digits.
      let (first, last) = (numbers[0] + 1, numbers[0] + numbers[1])
      return AnnotatedClip(
        id: "\(row.path)_\(first)_\(last)", video: row.path, labels: numbers.dropFirst(2).map(String.init),
        part: .frames(first, last), place: place)
    }
  }
}
