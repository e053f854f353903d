// A toy format, as docs/extending.md shows it.
@testable import Dataset

/// Lines `CLASS: FILE`; the files are in the data folder's `clips`.
struct ColonAnnotations: AnnotationSource {
  let name = "colon"
  let appearance = "lines CLASS: FILE"

  func recognises(_ list: AnnotationList) -> Bool { list.firstFields?.first?.contains(": ") ?? false }

  func clips(in list: AnnotationList) throws -> [AnnotatedClip] {
    try list.records().map { record in
      let parts = record.fields[0].split(separator: ": ", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw DatasetError.badData(list.name, line: record.line, "'\(record.fields[0])' is not CLASS: FILE")
      }
      return AnnotatedClip(id: parts[1], video: parts[1], label: parts[0], line: record.line)
    }
  }

  func path(of clip: AnnotatedClip, in folder: VideoFolder) -> String? {
    folder.contains("clips/\(clip.video)") ? "clips/\(clip.video)" : nil
  }
}
