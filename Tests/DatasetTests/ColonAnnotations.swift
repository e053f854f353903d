// A toy format, as docs/extending.md shows it.
@testable import Dataset

/// Lines `CLASS: FILE`; the files are in the videos folder's `clips`.
struct ColonAnnotations: AnnotationSource {
  let name = "colon"
  let appearance = "lines CLASS: FILE"

  func recognises(_ list: AnnotationList) -> Bool { list.sample.first?.text.contains(": ") ?? false }

  func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachLine(take) { line throws(RowProblem) in
      let parts = line.text.split(separator: ": ", maxSplits: 1).map(String.init)
      guard parts.count == 2 else { throw RowProblem(expected: "CLASS: FILE") }
      return AnnotatedClip(id: parts[1], video: parts[1], label: parts[0], place: line.place)
    }
  }

  func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? {
    folder.contains("clips/\(clip.video)") ? ClipFile(path: "clips/\(clip.video)") : nil
  }
}
