// Kinetics-400, -600 and -700: lists of YouTube ids with times; trimmed clips, in class folders or all in one.
import Foundation

/// With a header: `label,youtube_id,time_start,time_end,split[,is_cc]`, in any order; without one, in that order; test
/// lists have no label. Or JSON: `{"ID": {"annotations": {"label": …, "segment": [36, 46]}, …}}`.
///
/// A file is `ID_SSSSSS_EEEEEE`, or `ID` alone, with any extension: in a folder named after its class (with spaces or
/// `_`), in a folder of replacements, or in one that is no class's. Under the bare id it may be the whole video.
public struct KineticsAnnotations: AnnotationSource {
  public let name = "kinetics"
  public let appearance = "a Kinetics list (`label,youtube_id,time_start,time_end,split`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    if list.isJSON(beginningWith: "{\"") { return true }
    guard let fields = list.firstFields else { return false }
    return ListHeader(fields, videos: ["youtube_id"]) != nil || Self.unnamed(fields) != nil
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    if list.isJSON(beginningWith: "{\"") { return try readJSON(list, take) }
    guard let first = list.sample.first else { return }
    let fields = try? first.fields()
    let header = fields.flatMap { ListHeader($0, videos: ["youtube_id"]) }
    guard let columns = header ?? fields.flatMap(Self.unnamed) else {
      throw DatasetError(
        .badData,
        "\(first.place): read '\(first.text.prefix(80))', expected a header with youtube_id, "
          + "or rows label,youtube_id,time_start,time_end,split")
    }
    try list.forEachLine(take) { line throws(RowProblem) in
      // Each file of a pattern has a header of its own.
      if header != nil, line.place.line == first.place.line { return nil }
      let fields = try line.fields()
      guard fields.count == columns.columns || (header == nil && fields.count > columns.video) else {
        throw RowProblem(
          "\(fields.count) columns where the \(header == nil ? "first row" : "header") has \(columns.columns); "
            + "a label with a comma must be quoted")
      }
      let video = fields[columns.video]
      guard !video.isEmpty else { throw RowProblem("no youtube_id") }
      return clip(
        video, columns.label.map { fields[$0] }, columns.endsIn(fields) ? try columns.times(fields) : nil, line.place)
    }
  }

  private func clip(_ video: String, _ label: String?, _ times: RowTimes?, _ place: RowPlace) -> AnnotatedClip {
    AnnotatedClip(
      id: video + (times?.suffix ?? ""), video: video, label: label.flatMap { $0.isEmpty ? nil : $0 },
      part: times?.part ?? .whole, place: place)
  }

  /// The columns of a list without a header, by its first row.
  private static func unnamed(_ fields: [String]) -> ListHeader? {
    func isID(_ text: String) -> Bool {
      text.utf8.count == 11 && !text.utf8.contains(UInt8(ascii: "/")) && !text.utf8.contains(UInt8(ascii: "."))
    }
    for video in [1, 0] where fields.count > video + 2 && isID(fields[video]) {
      guard Double(fields[video + 1]) != nil, Double(fields[video + 2]) != nil else { continue }
      return ListHeader(
        columns: fields.count, video: video, label: video == 1 ? 0 : nil, start: video + 1, end: video + 2)
    }
    return nil
  }

  // MARK: JSON

  private func readJSON(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    for file in list.files {
      var items = JSONItems(try file.all(), name: file.name)
      try items.forEach { item in
        let place = RowPlace(file: file.name, line: item.line)
        let row: AnnotatedRow
        do throws(RowProblem) {
          row = .clip(try clip(item, place))
        } catch {
          row = .unreadable(UnreadableRow(place, text: String(decoding: item.bytes, as: UTF8.self), error))
        }
        try take(row)
      }
    }
  }

  private func clip(_ item: JSONItem, _ place: RowPlace) throws(RowProblem) -> AnnotatedClip {
    let wanted = #""ID": {"annotations": {"label": "…", "segment": [36, 46]}}"#
    guard let video = item.key, let members = item.value as? [String: Any] else { throw RowProblem(expected: wanted) }
    let annotations = members["annotations"] as? [String: Any] ?? members
    let segment = (annotations["segment"] as? [Any] ?? []).map { "\($0)" }
    return clip(
      video, annotations["label"] as? String, segment.count == 2 ? try RowTimes(segment[0], segment[1]) : nil, place)
  }

  // MARK: Files

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? {
    // A file named after the clip's times is a better match than one with only the video's id.
    if case .seconds(let start, let end) = clip.part, let times = RowTimes(start, end) {
      for suffix in times.fileSuffixes {
        if let path = match(clip.video + suffix, label: clip.label, in: folder) { return ClipFile(path: path) }
      }
    }
    return match(clip.video, label: clip.label, in: folder).map { ClipFile(path: $0, part: clip.part) }
  }

  private func match(_ stem: String, label: String?, in folder: VideoFolder) -> String? {
    if let path = folder.replacements(stem: stem).first { return path }
    var best: (rank: Int, path: String)?
    for path in folder.paths(stem: stem) {
      let folders = path.split(separator: "/").dropLast()
      let place = folders.last.map { folder.plain(String($0)) } ?? ""
      let rank: Int
      if place.hasPrefix("replacement") || folders.dropLast().contains(where: { $0.hasPrefix("replacement") }) {
        rank = 0
      } else if let label, place == folder.plain(label) {
        rank = 1
      } else if folder.classes.contains(place), label != nil {
        continue
      } else {
        rank = 2
      }
      let ranked = rank * 100 + VideoFolder.preference(path)
      if best.map({ ranked < $0.rank }) ?? true { best = (ranked, path) }
    }
    return best?.path
  }
}

extension ListHeader {
  /// Whether a row has the columns of the times.
  fileprivate func endsIn(_ fields: [String]) -> Bool {
    [start, end].allSatisfy { $0.map(fields.indices.contains) ?? false }
  }
}

extension RowTimes {
  init?(_ start: Double, _ end: Double) {
    guard start < end else { return nil }
    self.start = start
    self.end = end
  }
}
