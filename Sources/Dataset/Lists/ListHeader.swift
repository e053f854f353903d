// The header of a list with named columns, and the times of its rows.

/// Which column of a list is what.
struct ListHeader: Equatable {
  let columns: Int
  let video: Int
  var label: Int?
  var start: Int?
  var end: Int?

  static let labels = [
    "label", "labels", "class", "class_name", "label_name", "category", "action", "activity", "target", "class_id",
    "label_id", "class_index", "classid", "tag", "y",
  ]
  static let starts = ["time_start", "start_time", "start", "t_start", "start_sec", "start_seconds", "begin"]
  static let ends = ["time_end", "end_time", "end", "t_end", "end_sec", "end_seconds", "stop"]
  static let paths = [
    "path", "video_path", "clip_path", "filepath", "file_path", "video", "videos", "file", "filename", "file_name",
    "clip", "clip_name", "video_name", "name", "video_id", "videoid", "youtube_id", "vid", "id",
  ]

  /// - Parameter videos: names of the column that names the file, the preferred one first.
  /// - Returns: nil if no field has one of these names.
  init?(_ fields: [String], videos: [String] = ListHeader.paths) {
    let names = fields.map { field in
      field.lowercased().drop { $0 == "#" || $0 == " " }.split { " -".contains($0) }.joined(separator: "_")
    }
    func column(_ wanted: [String]) -> Int? { wanted.lazy.compactMap { names.firstIndex(of: $0) }.first }
    guard let video = column(videos) else { return nil }
    columns = fields.count
    self.video = video
    label = column(ListHeader.labels)
    start = column(ListHeader.starts)
    end = column(ListHeader.ends)
  }

  init(columns: Int, video: Int, label: Int?, start: Int?, end: Int?) {
    self.columns = columns
    self.video = video
    self.label = label
    self.start = start
    self.end = end
  }

  /// The times of a row; nil without both.
  func times(_ fields: [String]) throws(RowProblem) -> RowTimes? {
    guard let start, let end else { return nil }
    return try RowTimes(fields[start], fields[end])
  }
}

/// The part of a video that a row asks for.
struct RowTimes: Equatable {
  let start: Double
  let end: Double

  /// Nil if one of the texts is empty.
  init?(_ start: String, _ end: String) throws(RowProblem) {
    if start.isEmpty || end.isEmpty { return nil }
    self.start = try Self.seconds(start)
    self.end = try Self.seconds(end)
    guard self.start < self.end else {
      throw RowProblem("the clip ends at \(end) s and starts at \(start) s; expected a later end")
    }
  }

  private static func seconds(_ text: String) throws(RowProblem) -> Double {
    guard let value = Double(text), value >= 0, value < 1e9 else {
      throw RowProblem("'\(text)' is no time in seconds")
    }
    return value
  }

  var part: ClipPart { .seconds(start, end) }

  /// What follows the id in the names of clips: `_000104_000114`. Fractions are kept, since they tell clips apart.
  var suffix: String { "_\(Self.digits(start))_\(Self.digits(end))" }

  /// How downloaders name the file of a clip after its id.
  var fileSuffixes: [String] {
    let whole = "_\(Self.digits(start.rounded(.down)))_\(Self.digits(end.rounded(.down)))"
    let bare = "_\(Self.short(start))_\(Self.short(end))"
    return suffix == whole ? [whole, bare] : [suffix, whole, bare]
  }

  private static func digits(_ seconds: Double) -> String {
    guard let whole = Int(exactly: seconds) else { return String(seconds) }
    let digits = String(whole)
    return String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits
  }

  private static func short(_ seconds: Double) -> String { Int(exactly: seconds).map(String.init) ?? String(seconds) }
}
