// The registry of annotation formats, and a format that is one file and one entry of it.
import Foundation
import Recipes
import Shared
import Testing

@testable import Dataset

@Suite struct AnnotationFormatsTests {
  private let withToy = AnnotationFormats([KineticsAnnotations(), ColonAnnotations(), PathLabelAnnotations()])
  private let list =
    "auto, webdataset, kinetics, something-v2, something-v1, hmdb51, ucf101, moments, frames, rawframes, tsm, list, folders"

  @Test("a format that nobody knows is an error that lists the known ones, in a recipe with its line")
  func unknown() {
    let error = #expect(throws: DatasetError.self) { _ = try AnnotationFormats.known.named("colon") }
    #expect(error?.description == "'data.format' is 'colon', expected one of \(list)")
    #expect(error?.status == .badConfiguration)
    let mistake = #expect(throws: SharedError.self) {
      try RecipeFile(
        yaml: "data:\n  format: colon\n", origin: "r.yaml", known: ["data.format": AnnotationFormats.known.names])
    }
    #expect(mistake?.description == "r.yaml: line 2: 'data.format' is 'colon', expected one of \(list)")
  }

  @Test("a new format is one type and one entry: recipe, recognition, rows, files and classes follow")
  func toy() throws {
    let file = try RecipeFile(
      yaml: "data: {format: colon}", origin: "r.yaml", known: ["data.format": withToy.names])
    let source = try withToy.named(file.recipe.data.format)
    let data = Data("diving: a.mp4\nyoga: b/c.mp4\nyoga: gone.mp4\nb.mp4\n".utf8)
    #expect(withToy.recognising(AnnotationList(name: "list", data: data))?.name == "colon")
    let annotations = try Annotations(parsing: data, name: "list", source: source)
    let found = try ClipCandidates(
      of: annotations, classes: try ClassList(labelsOf: annotations),
      folder: VideoFolder(root: "root", paths: ["clips/a.mp4", "clips/b/c.mp4", "gone.mp4"]))
    #expect(found.found.map(\.path) == ["clips/a.mp4", "clips/b/c.mp4"] && found.found.map(\.labels[0]) == [0, 1])
    #expect(found.rejected.map(\.id) == ["gone.mp4", "list:4"])
    #expect(found.rejected[1].reason == "cannot be read: read 'b.mp4', expected CLASS: FILE")
  }

  @Test("names are unique, can stand in a recipe, and each format is documented")
  func names() throws {
    let names = AnnotationFormats.known.names
    #expect(Set(names).count == names.count)
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let reference = try String(contentsOf: root.appendingPathComponent("docs/reference.md"), encoding: .utf8)
    for name in names {
      #expect(try Recipe(yaml: "data: {format: \(name)}", origin: "r").data.format == name)
      #expect(reference.contains("| `\(name)` |"), "\(name)")
    }
  }

  @Test("a list that no format knows is shown, with what is known")
  func unrecognised() {
    let error = message { _ = try Annotations("what\nis this\n") }
    #expect(
      error.hasPrefix("list.csv:1: read 'what', expected one of the known formats: webdataset (WebDataset shards"))
  }

  @Test(
    "a list that is read as another format than it has says which it has",
    arguments: [
      (
        "c1.mp4 a\nc2.mp4 b\n", "moments", "list.csv:1: read 'c1.mp4 a', expected path.mp4,label", "`path label`",
        "list"
      ),
      (
        "c1.mp4,a\n", "kinetics", "list.csv:1: read 'c1.mp4,a', expected a header with youtube_id", "`path label`",
        "list"
      ),
      (
        "a/b 1 30 5\n", "something-v1", "list.csv:1: read 'a/b 1 30 5', expected id;label", "folders of images",
        "frames"
      ),
      (
        "[{\"id\": \"1\", \"template\": \"a\"}]", "ucf101", "list.csv:1: read '[{", "a Something-Something list",
        "something-v2"
      ),
      ("v/a.mp4,b\n", "frames", "list.csv:1: read 'v/a.mp4,b', expected path start end label", "`path label`", "list"),
    ])
  func wrongFormat(text: String, format: String, reason: String, looks: String, set: String) {
    let error = message { _ = try Annotations(text, format) }
    #expect(error.hasPrefix(reason), "\(error)")
    #expect(error.contains("this looks like \(looks)") && error.hasSuffix("set `data.format: \(set)`"), "\(error)")
  }

  @Test("the documentation shows the toy format as it is tested")
  func documented() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let root = tests.deletingLastPathComponent().deletingLastPathComponent()
    let source = try String(contentsOf: tests.appendingPathComponent("ColonAnnotations.swift"), encoding: .utf8)
    let page = try String(contentsOf: root.appendingPathComponent("docs/extending.md"), encoding: .utf8)
    let type = try #require(source.range(of: "/// Lines"))
    #expect(page.contains(source[type.lowerBound...]))
  }
}
