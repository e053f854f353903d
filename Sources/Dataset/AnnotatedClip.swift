// What a source makes of a row: a clip, or the reason why it cannot be read.

/// Where a row is, for messages.
public struct RowPlace: Equatable, Sendable, CustomStringConvertible {
  public let file: String
  /// Counted from 1; 0 for the file as a whole.
  public let line: Int

  public init(file: String, line: Int) {
    self.file = file
    self.line = line
  }

  public var description: String { line == 0 ? file : "\(file):\(line)" }
}

/// One row of an annotation list.
public struct AnnotatedClip: Equatable, Sendable {
  /// Unique in a data set: `youtubeID_SSSSSS_EEEEEE` (Kinetics; without times the bare id), or the path in the list.
  public let id: String
  /// What names its file: an id, or a path.
  public let video: String
  /// Empty in test lists. Only multi-label lists have more than one.
  public let labels: [String]
  /// The part that the row asks for. A file that holds just that part is taken whole.
  public let part: ClipPart
  /// Where its file lies in the tar archive `video`; nil elsewhere.
  public let bytes: Range<UInt64>?
  public let place: RowPlace

  public init(
    id: String, video: String, labels: [String], part: ClipPart = .whole, bytes: Range<UInt64>? = nil, place: RowPlace
  ) {
    self.id = id
    self.video = video
    self.labels = labels
    self.part = part
    self.bytes = bytes
    self.place = place
  }

  public init(id: String, video: String, label: String?, part: ClipPart = .whole, place: RowPlace) {
    self.init(id: id, video: video, labels: label.map { [$0] } ?? [], part: part, place: place)
  }

  /// The label that is trained; nil in test lists.
  public var label: String? { labels.first }
}

/// Why a row cannot be read.
public struct RowProblem: Error, Equatable {
  /// What is wrong, or what a row should look like.
  public let description: String

  public init(_ description: String) { self.description = description }

  /// - Parameter wanted: what a row should look like.
  public init(expected wanted: String) { description = "expected \(wanted)" }
}

/// A row that cannot be read. It is left out by its file and line.
public struct UnreadableRow: Equatable, Sendable {
  public let place: RowPlace
  /// What was read, and what was expected.
  public let reason: String

  /// - Parameter text: the row, of which the first 80 characters are quoted.
  init(_ place: RowPlace, text: String?, _ problem: RowProblem) {
    self.place = place
    reason = (text.map { "read '\($0.prefix(80))\($0.count > 80 ? "…" : "")', " } ?? "") + problem.description
  }

  public var description: String { "\(place): \(reason)" }
}

/// What a source makes of a row.
public enum AnnotatedRow: Equatable, Sendable {
  case clip(AnnotatedClip)
  case unreadable(UnreadableRow)
}

/// The file of a clip.
public struct ClipFile: Equatable, Sendable {
  /// Relative to the list's videos folder (see `joined(videos:path:)`). A folder, for a folder of images.
  public let path: String
  public let part: ClipPart
  /// The part of a tar archive that holds the file; nil where `path` is the file.
  public let bytes: Range<UInt64>?

  public init(path: String, part: ClipPart = .whole, bytes: Range<UInt64>? = nil) {
    self.path = path
    self.part = part
    self.bytes = bytes
  }
}
