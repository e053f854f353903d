// The protocol that an annotation format implements, and the registry of formats. Each format has a file of its own;
// docs/extending.md shows how to add one.
import Shared

/// An annotation format: reads the rows of a list, and knows where a row's file may be.
public protocol AnnotationSource: Sendable {
  /// Its name in `data.format`: lowercase letters, digits and `-`.
  var name: String { get }
  /// What its lists look like, in a few words, for "this looks like …".
  var appearance: String { get }

  /// Whether `list` seems to have this format. Look at its `sample`, or its first bytes, only.
  func recognises(_ list: AnnotationList) -> Bool

  /// Passes the rows of `list` to `take`, in its order. A row that cannot be read is passed as such, and ends nothing.
  /// Ids are unique in a data set; several rows may share a file.
  ///
  /// - Throws: `DatasetError` if this is no list of this format, or cannot be read.
  func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws

  /// The file of `clip`, or nil if there is none. Unless a format has its own rule, `video` is a path.
  func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile?
}

extension AnnotationSource {
  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? {
    folder.file(named: clip.video).map { ClipFile(path: $0, part: clip.part) }
  }
}

/// The annotation formats, by name.
public struct AnnotationFormats: Sendable {
  /// In the order in which they are tried if the recipe names no format.
  public let sources: [any AnnotationSource]

  /// The formats of this program. A new format is one more entry here.
  public static let known = AnnotationFormats([
    WebDatasetAnnotations(), KineticsAnnotations(), SomethingAnnotations(), SomethingV1Annotations(),
    HMDB51Annotations(), UCF101Annotations(), MomentsAnnotations(), ReferenceAnnotations(), RawframesAnnotations(),
    TSMAnnotations(), PathLabelAnnotations(), ClassFolders(),
  ])

  /// The value of `data.format` with which a list's format is recognised.
  public static let automatic = "auto"

  /// - Parameter sources: with distinct names.
  public init(_ sources: [any AnnotationSource]) { self.sources = sources }

  /// The values that `data.format` may have.
  public var names: [String] { [Self.automatic] + sources.map(\.name) }

  /// The format that `data.format` names; nil for `auto`.
  ///
  /// - Throws: `DatasetError` listing the known formats.
  public func named(_ name: String) throws -> (any AnnotationSource)? {
    if name == Self.automatic { return nil }
    guard let source = sources.first(where: { $0.name == name }) else {
      throw DatasetError(
        .badConfiguration, "'data.format' is '\(name)', expected one of \(names.joined(separator: ", "))")
    }
    return source
  }

  /// The first format that recognises `list`; nil if none does.
  public func recognising(_ list: AnnotationList) -> (any AnnotationSource)? {
    sources.first { $0.recognises(list) }
  }

  /// A sentence about what `list` looks like; empty if it looks like nothing, or like `source`.
  func hint(_ list: AnnotationList, not source: any AnnotationSource) -> String {
    guard let other = recognising(list), other.name != source.name else { return "" }
    return "; this looks like \(other.appearance): set `data.format: \(other.name)`"
  }
}
