// Something-Something: version 2 has lists in JSON and videos, version 1 has `id;label` and folders of images.

/// JSON: `[{"id": "78687", "label": "holding a potato …", "template": "Holding [something] next to [something]"}, …]`.
/// The class is the template without brackets; test lists have ids alone. A file is `ID` with any extension, anywhere.
public struct SomethingAnnotations: AnnotationSource {
  public let name = "something-v2"
  public let appearance = #"a Something-Something list (`[{"id": …, "template": …}, …]`)"#

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool { list.isJSON(beginningWith: "[{") }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    for file in list.files {
      var items = JSONItems(try file.all(), name: file.name)
      try items.forEach { item in
        let place = RowPlace(file: file.name, line: item.line)
        guard let members = item.value as? [String: Any], let id = Self.text(members["id"]), !id.isEmpty else {
          let text = String(decoding: item.bytes, as: UTF8.self)
          try take(
            .unreadable(UnreadableRow(place, text: text, RowProblem(expected: #"{"id": "…", "template": "…"}"#))))
          return
        }
        let name = Self.text(members["template"]) ?? Self.text(members["label"])
        try take(.clip(AnnotatedClip(id: id, video: id, label: name.map(Self.withoutBrackets), place: place)))
      }
    }
  }

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? { somethingFile(clip, folder) }

  /// Ids are texts in the published lists, and numbers in some that people made from them.
  private static func text(_ value: Any?) -> String? { (value as? String) ?? (value as? Int).map(String.init) }

  private static func withoutBrackets(_ template: String) -> String {
    template.contains("[") ? String(template.filter { $0 != "[" && $0 != "]" }) : template
  }
}

/// Rows `id;label`, the label with commas and brackets as it is; test lists have ids alone. A file is the folder `ID`
/// of images, or `ID` with any extension.
public struct SomethingV1Annotations: AnnotationSource {
  public let name = "something-v1"
  public let appearance = "a Something-Something V1 list (`id;label`)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    !list.sample.isEmpty
      && list.sample.allSatisfy { line in
        let parts = line.text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        return isNumber(parts[0]) && (parts.count == 1 || !isNumber(parts[1].prefix { $0 != ";" }))
      }
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    try list.forEachLine(take) { line throws(RowProblem) in
      let parts = line.text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
      let id = String(trimmed(parts[0]))
      guard !id.isEmpty, parts.count == 2 || isNumber(id) else { throw RowProblem(expected: "id;label") }
      let name = parts.count == 2 ? trimmed(parts[1]) : ""
      return AnnotatedClip(id: id, video: id, label: name.isEmpty ? nil : String(name), place: line.place)
    }
  }

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? { somethingFile(clip, folder) }
}

private func somethingFile(_ clip: AnnotatedClip, _ folder: VideoFolder) -> ClipFile? {
  let path =
    folder.file(named: clip.video)
    ?? folder.paths(stem: clip.video).min { VideoFolder.preference($0) < VideoFolder.preference($1) }
  return path.map { ClipFile(path: $0) }
}
