// What an annotation format is, and the list of those that are known. Each format has a file of its own;
// docs/extending.md shows how to add one.
import Foundation
import Shared

/// One way of writing down which clips a data set has: it reads the rows of a list, and knows where a row's file may be.
public protocol AnnotationSource: Sendable {
  /// What `data.format` calls it: lowercase letters, digits and `-`.
  var name: String { get }
  /// What its lists look like, in a few words for error messages.
  var appearance: String { get }

  /// Whether `list` looks like one of this format. Only the beginning should be looked at.
  func recognises(_ list: AnnotationList) -> Bool

  /// The rows of `list`, in its order. Ids are unique in a data set; several rows may share a file.
  ///
  /// - Throws: `DatasetError` naming file and line, where a row cannot be understood, or there is none.
  func clips(in list: AnnotationList) throws -> [AnnotatedClip]

  /// The path of `clip`'s file relative to the folder's root, or nil if it is not there.
  func path(of clip: AnnotatedClip, in folder: VideoFolder) -> String?
}

/// What a source reads. Formats that need more than the list's bytes get it as further properties of this type.
public struct AnnotationList: Sendable {
  /// The file's name, for messages.
  public let name: String
  public let data: Data

  public init(name: String, data: Data) {
    self.name = name
    self.data = data
  }

  /// The list as comma-separated values; at least one record.
  ///
  /// - Throws: `DatasetError` naming file and line.
  func records() throws -> [CommaSeparatedValues.Record] {
    let records = try CommaSeparatedValues(parsing: data, name: name).records
    if records.isEmpty { throw DatasetError.badData(name, line: 1, "the list is empty") }
    return records
  }

  /// The fields of the first line that has any, read as comma-separated values; nil where that is impossible.
  var firstFields: [String]? {
    let lines = data.split(maxSplits: 32, whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") })
    for line in lines.prefix(32) {
      guard let records = try? CommaSeparatedValues(parsing: Data(line), name: name).records else { return nil }
      if let first = records.first { return first.fields }
    }
    return nil
  }
}

/// The annotation formats, by name.
public struct AnnotationFormats: Sendable {
  /// In the order in which they are tried on a list whose format is not named.
  public let sources: [any AnnotationSource]

  /// Those of this program: a new format is one more entry here.
  public static let known = AnnotationFormats([KineticsAnnotations(), MomentsAnnotations()])

  /// - Parameter sources: no two of one name.
  public init(_ sources: [any AnnotationSource]) { self.sources = sources }

  public var names: [String] { sources.map(\.name) }

  /// The format that `data.format` names.
  ///
  /// - Throws: `DatasetError` that lists the known ones.
  public func named(_ name: String) throws -> any AnnotationSource {
    guard let source = sources.first(where: { $0.name == name }) else {
      throw DatasetError(
        .badConfiguration, "'data.format' is '\(name)', expected one of \(names.joined(separator: ", "))")
    }
    return source
  }

  /// The first format that recognises `list`.
  ///
  /// - Throws: `DatasetError` that says what the known ones look like.
  public func recognising(_ list: AnnotationList) throws -> any AnnotationSource {
    guard let source = sources.first(where: { $0.recognises(list) }) else {
      // Where the list is empty or is no text, that is the better answer.
      let line = try list.records()[0].line
      let known = sources.map { "\($0.name) (\($0.appearance))" }.joined(separator: ", ")
      throw DatasetError.badData(list.name, line: line, "none of the known formats: \(known)")
    }
    return source
  }
}
