// An annotation list that was read: which clips a data set has and what each shows. How a list is written, and where
// its files are, is its `AnnotationSource`'s.
import Foundation

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
  /// The file's name, for messages.
  public let name: String
  public let source: any AnnotationSource
  public let clips: [AnnotatedClip]

  /// Reads the list at `path`.
  ///
  /// - Parameter source: nil: the known format that recognises the list.
  /// - Throws: `DatasetError` naming file and line.
  public init(contentsOf path: String, source: (any AnnotationSource)? = nil) throws {
    let data = try contents(ofFile: path, advice: "check the recipe's annotation path")
    try self.init(parsing: data, name: path, source: source)
  }

  /// - Parameters:
  ///   - name: what errors call the file.
  ///   - source: nil: the known format that recognises the list.
  /// - Throws: `DatasetError` naming file and line, where a row cannot be understood, or there is none.
  public init(parsing data: Data, name: String, source: (any AnnotationSource)? = nil) throws {
    let list = AnnotationList(name: name, data: data)
    self.name = name
    self.source = try source ?? AnnotationFormats.known.recognising(list)
    clips = try self.source.clips(in: list)
  }
}
