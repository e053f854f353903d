// The protocol that an annotation format implements, and the registry of formats. Each format has a file of its own;
// docs/extending.md shows how to add one.
import Foundation
import Shared

/// An annotation format: parses the rows of a list, and knows where a row's file may be.
public protocol AnnotationSource: Sendable {
  /// Its name in `data.format`: lowercase letters, digits and `-`.
  var name: String { get }
  /// A few words on what its lists look like, for error messages.
  var appearance: String { get }

  /// Whether `list` seems to have this format. Look at its beginning only.
  func recognises(_ list: AnnotationList) -> Bool

  /// The rows of `list`, in its order. Ids are unique in a data set; several rows may share a file.
  ///
  /// - Throws: `DatasetError` naming file and line if a row cannot be parsed or the list is empty.
  func clips(in list: AnnotationList) throws -> [AnnotatedClip]

  /// The path of `clip`'s file relative to the folder's root, or nil if it is not there.
  func path(of clip: AnnotatedClip, in folder: VideoFolder) -> String?
}

/// What a source reads. A format that needs more than the list's bytes gets it as another property of this type.
public struct AnnotationList: Sendable {
  /// The file's name, for error messages.
  public let name: String
  public let data: Data

  public init(name: String, data: Data) {
    self.name = name
    self.data = data
  }

  /// The list as comma-separated values, at least one record.
  ///
  /// - Throws: `DatasetError` naming file and line.
  func records() throws -> [CommaSeparatedValues.Record] {
    let records = try CommaSeparatedValues(parsing: data, name: name).records
    if records.isEmpty { throw DatasetError.badData(name, line: 1, "the list is empty") }
    return records
  }

  /// The fields of the first non-blank line, as comma-separated values; nil if it cannot be parsed.
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
  /// In the order in which they are tried if the recipe names no format.
  public let sources: [any AnnotationSource]

  /// The formats of this program. A new format is one more entry here.
  public static let known = AnnotationFormats([KineticsAnnotations(), MomentsAnnotations()])

  /// - Parameter sources: with distinct names.
  public init(_ sources: [any AnnotationSource]) { self.sources = sources }

  public var names: [String] { sources.map(\.name) }

  /// The format that `data.format` names.
  ///
  /// - Throws: `DatasetError` listing the known formats.
  public func named(_ name: String) throws -> any AnnotationSource {
    guard let source = sources.first(where: { $0.name == name }) else {
      throw DatasetError(
        .badConfiguration, "'data.format' is '\(name)', expected one of \(names.joined(separator: ", "))")
    }
    return source
  }

  /// The first format that recognises `list`.
  ///
  /// - Throws: `DatasetError` describing the known formats.
  public func recognising(_ list: AnnotationList) throws -> any AnnotationSource {
    guard let source = sources.first(where: { $0.recognises(list) }) else {
      // If the list is empty or not text, that error helps more.
      let line = try list.records()[0].line
      let known = sources.map { "\($0.name) (\($0.appearance))" }.joined(separator: ", ")
      throw DatasetError.badData(list.name, line: line, "none of the known formats: \(known)")
    }
    return source
  }
}
