// The annotation lists that data sets come with: which clips there are and what each shows. Where their files lie is
// `ClipLayout`'s.
import Foundation

/// How an annotation list is written.
public enum AnnotationFormat: String, Sendable, CaseIterable {
  /// With a header: `label,youtube_id,time_start,time_end,split[,is_cc]`, in any order; test lists have no label.
  case kinetics
  /// Without one: `path/file.mp4,label[,…]`.
  case moments
}

/// One row of an annotation list.
public struct AnnotatedClip: Equatable, Sendable {
  /// Unique in a data set: `youtubeID_SSSSSS_EEEEEE` (Kinetics; without times the bare id), or the path (Moments).
  public let id: String
  /// The YouTube id (Kinetics), or the path as it is given (Moments).
  public let video: String
  /// Missing in test lists.
  public let label: String?
  /// Seconds in the original video.
  public let start: Double?
  /// Seconds in the original video.
  public let end: Double?
  public let format: AnnotationFormat
  /// Where it stands in the list, counted from 1.
  public let line: Int
}

/// An annotation list, in its own order.
public struct Annotations: Sendable {
  /// The file's name, for messages.
  public let name: String
  public let format: AnnotationFormat
  public let clips: [AnnotatedClip]

  /// Reads the list at `path`.
  ///
  /// - Parameter format: nil: told from the first line.
  /// - Throws: `VideoIndexError` naming file and line.
  public init(contentsOf path: String, format: AnnotationFormat? = nil) throws {
    let data = try contents(ofFile: path, advice: "check the recipe's annotation path")
    try self.init(parsing: data, name: path, format: format)
  }

  /// - Parameters:
  ///   - name: what errors call the file.
  ///   - format: nil: told from the first line.
  /// - Throws: `VideoIndexError` naming file and line, where a row cannot be understood, or there is none.
  public init(parsing data: Data, name: String, format: AnnotationFormat? = nil) throws {
    let records = try CommaSeparatedValues(parsing: data, name: name).records
    guard let first = records.first else { throw VideoIndexError.badData(name, line: 1, "the list is empty") }
    self.name = name
    self.format = try format ?? Annotations.format(of: first, name: name)
    switch self.format {
    case .kinetics: clips = try Annotations.kinetics(records, name: name)
    case .moments: clips = try Annotations.moments(records, name: name)
    }
    if clips.isEmpty { throw VideoIndexError.badData(name, line: first.line, "the list has a header, but no clips") }
  }

  private static func format(of first: CommaSeparatedValues.Record, name: String) throws -> AnnotationFormat {
    if first.fields.contains(where: { $0.lowercased() == "youtube_id" }) { return .kinetics }
    if let path = first.fields.first, ClipLayout.videoExtension(of: path) != nil { return .moments }
    throw VideoIndexError.badData(
      name, line: first.line,
      "neither Kinetics' header (label,youtube_id,time_start,time_end,split) nor a row of Moments (path.mp4,label)")
  }

  private static func kinetics(_ records: [CommaSeparatedValues.Record], name: String) throws -> [AnnotatedClip] {
    let header = records[0].fields.map { $0.lowercased() }
    guard let video = header.firstIndex(of: "youtube_id") else {
      throw VideoIndexError.badData(name, line: records[0].line, "the header has no column youtube_id")
    }
    let label = header.firstIndex(of: "label")
    let start = header.firstIndex(of: "time_start")
    let end = header.firstIndex(of: "time_end")
    return try records.dropFirst().map { record in
      let fields = record.fields
      guard fields.count == header.count else {
        throw VideoIndexError.badData(
          name, line: record.line,
          "\(fields.count) columns where the header has \(header.count); a label with a comma must be quoted")
      }
      guard !fields[video].isEmpty else { throw VideoIndexError.badData(name, line: record.line, "no youtube_id") }
      let from = try start.flatMap { try seconds(fields[$0], record, name) }
      let to = try end.flatMap { try seconds(fields[$0], record, name) }
      var id = fields[video]
      if let from, let to { id += "_\(sixDigits(from))_\(sixDigits(to))" }
      return AnnotatedClip(
        id: id, video: fields[video], label: label.map { fields[$0] }.flatMap { $0.isEmpty ? nil : $0 },
        start: from, end: to, format: .kinetics, line: record.line)
    }
  }

  private static func seconds(_ text: String, _ record: CommaSeparatedValues.Record, _ name: String) throws -> Double? {
    if text.isEmpty { return nil }
    guard let value = Double(text), value >= 0, value < 1e9 else {
      throw VideoIndexError.badData(name, line: record.line, "'\(text)' is no time in seconds")
    }
    return value
  }

  private static func sixDigits(_ seconds: Double) -> String {
    let digits = String(Int(seconds))
    return String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits
  }

  private static func moments(_ records: [CommaSeparatedValues.Record], name: String) throws -> [AnnotatedClip] {
    try records.map { record in
      let path = record.fields[0]
      guard ClipLayout.videoExtension(of: path) != nil else {
        throw VideoIndexError.badData(name, line: record.line, "'\(path)' is no path of a video file")
      }
      let label = record.fields.count > 1 && !record.fields[1].isEmpty ? record.fields[1] : nil
      return AnnotatedClip(
        id: path, video: path, label: label, start: nil, end: nil, format: .moments, line: record.line)
    }
  }
}
