// The registry of annotation formats, and a format that is one file and one entry of it.
import Foundation
import Recipes
import Shared
import Testing

@testable import Dataset

@Suite struct AnnotationFormatsTests {
  private let withToy = AnnotationFormats([KineticsAnnotations(), ColonAnnotations(), MomentsAnnotations()])

  @Test("a format that nobody knows is an error that lists the known ones, in a recipe with its line")
  func unknown() {
    let error = #expect(throws: DatasetError.self) { try AnnotationFormats.known.named("colon") }
    #expect(error?.description == "'data.format' is 'colon', expected one of kinetics, moments")
    #expect(error?.status == .badConfiguration)
    let mistake = #expect(throws: SharedError.self) {
      try RecipeFile(
        yaml: "data:\n  format: colon\n", origin: "r.yaml", known: ["data.format": AnnotationFormats.known.names])
    }
    #expect(mistake?.description == "r.yaml: line 2: 'data.format' is 'colon', expected one of kinetics, moments")
  }

  @Test("a new format is one type and one entry: recipe, recognition, rows, files and classes follow")
  func toy() throws {
    let file = try RecipeFile(
      yaml: "data: {format: colon}", origin: "r.yaml", known: ["data.format": withToy.names])
    let source = try withToy.named(file.recipe.data.format)
    let data = Data("diving: a.mp4\nyoga: b/c.mp4\nyoga: gone.mp4\n".utf8)
    #expect(try withToy.recognising(AnnotationList(name: "list", data: data)).name == "colon")
    let annotations = try Annotations(parsing: data, name: "list", source: source)
    let found = ClipCandidates(
      of: annotations, classes: try ClassList(labelsOf: annotations),
      folder: VideoFolder(root: "root", paths: ["clips/a.mp4", "clips/b/c.mp4", "gone.mp4"]))
    #expect(found.found.map(\.path) == ["clips/a.mp4", "clips/b/c.mp4"] && found.found.map(\.label) == [0, 1])
    #expect(found.rejected.map(\.id) == ["gone.mp4"])
    let error = #expect(throws: DatasetError.self) {
      try Annotations(parsing: Data("yoga: a.mp4\nb.mp4\n".utf8), name: "list", source: source)
    }
    #expect(error?.description == "list:2: 'b.mp4' is not CLASS: FILE")
  }

  @Test("names are unique, can stand in a recipe, and each format is documented")
  func names() throws {
    let names = AnnotationFormats.known.names
    #expect(Set(names).count == names.count)
    for name in names { #expect(try Recipe(yaml: "data: {format: \(name)}", origin: "r").data.format == name) }
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
