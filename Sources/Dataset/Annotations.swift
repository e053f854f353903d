// A parsed annotation list: the clips of a data set and the class of each. Its syntax, and where its files are, belong to
// an `AnnotationSource`.
import Foundation

/// One row of an annotation list.
public struct AnnotatedClip: Equatable, Sendable {
  /// Unique in a data set: `youtubeID_SSSSSS_EEEEEE` (Kinetics; without times the bare id), or the path (Moments).
  public let id: String
  /// The YouTube id (Kinetics), or the path in the list (Moments).
  public let video: String
  /// Nil in test lists.
  public let label: String?
  /// Seconds in the original video.
  public let start: Double?
  /// Seconds in the original video.
  public let end: Double?
  /// The line in the list, counted from 1.
  public let line: Int

  public init(id: String, video: String, label: String?, start: Double? = nil, end: Double? = nil, line: Int) {
    self.id = id
    self.video = video
    self.label = label
    self.start = start
    self.end = end
    self.line = line
  }
}

/// An annotation list, in its own order.
public struct Annotations: Sendable {
  /// The file's name, for error messages.
  public let name: String
  public let source: any AnnotationSource
  public let clips: [AnnotatedClip]

  /// Reads the list at `path`.
  ///
  /// - Parameter source: the list's format; nil for the first known format that recognises it.
  /// - Throws: `DatasetError` naming file and line.
  public init(contentsOf path: String, source: (any AnnotationSource)? = nil) throws {
    let data = try contents(ofFile: path, advice: "check the recipe's annotation path")
    try self.init(parsing: data, name: path, source: source)
  }

  /// - Parameters:
  ///   - name: what errors call the file.
  ///   - source: the list's format; nil for the first known format that recognises it.
  /// - Throws: `DatasetError` naming file and line if a row cannot be parsed or the list is empty.
  public init(parsing data: Data, name: String, source: (any AnnotationSource)? = nil) throws {
    let list = AnnotationList(name: name, data: data)
    self.name = name
    self.source = try source ?? AnnotationFormats.known.recognising(list)
    clips = try self.source.clips(in: list)
  }
}
