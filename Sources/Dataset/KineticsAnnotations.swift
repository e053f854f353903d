// Kinetics-400, -600 and -700: lists of YouTube ids with times; trimmed clips, in class folders or all in one.

/// With a header: `label,youtube_id,time_start,time_end,split[,is_cc]`, in any order; test lists have no label.
///
/// A file is `ID_SSSSSS_EEEEEE`, or `ID` alone, with a video's extension, in a folder named after its class (with spaces
/// or `_`), or in the data folder itself or its `train`, `val`, `test` and the like.
public struct KineticsAnnotations: AnnotationSource {
  public let name = "kinetics"
  public let appearance = "a header label,youtube_id,time_start,time_end,split"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    list.firstFields?.contains { $0.lowercased() == "youtube_id" } ?? false
  }

  public func clips(in list: AnnotationList) throws -> [AnnotatedClip] {
    let records = try list.records()
    let name = list.name
    let header = records[0].fields.map { $0.lowercased() }
    guard let video = header.firstIndex(of: "youtube_id") else {
      throw DatasetError.badData(name, line: records[0].line, "the header has no column youtube_id")
    }
    guard records.count > 1 else {
      throw DatasetError.badData(name, line: records[0].line, "the list has a header, but no clips")
    }
    let label = header.firstIndex(of: "label")
    let start = header.firstIndex(of: "time_start")
    let end = header.firstIndex(of: "time_end")
    return try records.dropFirst().map { record in
      let fields = record.fields
      guard fields.count == header.count else {
        throw DatasetError.badData(
          name, line: record.line,
          "\(fields.count) columns where the header has \(header.count); a label with a comma must be quoted")
      }
      guard !fields[video].isEmpty else { throw DatasetError.badData(name, line: record.line, "no youtube_id") }
      let from = try start.flatMap { try seconds(fields[$0], record, name) }
      let to = try end.flatMap { try seconds(fields[$0], record, name) }
      var id = fields[video]
      if let from, let to { id += "_\(sixDigits(from))_\(sixDigits(to))" }
      return AnnotatedClip(
        id: id, video: fields[video], label: label.map { fields[$0] }.flatMap { $0.isEmpty ? nil : $0 },
        start: from, end: to, line: record.line)
    }
  }

  private func seconds(_ text: String, _ record: CommaSeparatedValues.Record, _ name: String) throws -> Double? {
    if text.isEmpty { return nil }
    guard let value = Double(text), value >= 0, value < 1e9 else {
      throw DatasetError.badData(name, line: record.line, "'\(text)' is no time in seconds")
    }
    return value
  }

  private func sixDigits(_ seconds: Double) -> String {
    let digits = String(Int(seconds))
    return String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits
  }

  public func path(of clip: AnnotatedClip, in folder: VideoFolder) -> String? {
    // A file named after the clip's times is a better match than one with only the video's id.
    match(clip.id, label: clip.label, in: folder) ?? match(clip.video, label: clip.label, in: folder)
  }

  private func match(_ stem: String, label: String?, in folder: VideoFolder) -> String? {
    let candidates = folder.paths(stem: stem).compactMap { path -> (rank: Int, path: String)? in
      let folders = path.split(separator: "/").dropLast()
      let isFlat = folders.isEmpty || (folders.count == 1 && VideoFolder.splits.contains(folders[0].lowercased()))
      let isClass = folders.last.map { label == nil || plain($0) == plain(label ?? "") } ?? false
      guard isClass || isFlat, let suffix = VideoFolder.videoExtension(of: path) else { return nil }
      let preference = VideoFolder.extensions.firstIndex(of: suffix) ?? VideoFolder.extensions.count
      return (preference + (isClass ? 0 : VideoFolder.extensions.count), path)
    }
    return candidates.min { $0.rank < $1.rank }?.path
  }

  private func plain(_ name: some StringProtocol) -> String {
    String(name.map { $0 == " " || $0 == "/" ? "_" : $0 })
  }
}
