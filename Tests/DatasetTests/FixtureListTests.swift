// A few rows in the public formats, written for this project; every clone has them. KineticsTests reads the real
// lists, where ../shared is present.
import Foundation
import Testing

@testable import Dataset

@Suite struct FixtureListTests {
  private func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/annotations/\(name)").path
  }

  @Test("a Kinetics list keeps quoted labels, ids that begin with '-', and clips of one video apart")
  func kinetics() throws {
    let list = try Annotations(contentsOf: path("kinetics_train.csv"))
    #expect(list.source.name == "kinetics")
    #expect(
      try list.clips.map(\.label) == ["rock, paper, scissors", "juggling balls", "saying \"hello\"", "juggling balls"])
    #expect(
      try list.clips.map(\.id) == [
        "-aB3_dEfGh1_000004_000014", "_0Zy9xW8vUt_000017_000027", "Qq11-22_33z_000000_000010",
        "-aB3_dEfGh1_000020_000030",
      ])
    #expect(try ClassList(labelsOf: list).names == ["juggling balls", "rock, paper, scissors", "saying \"hello\""])
    let test = try Annotations(contentsOf: path("kinetics_test.csv"))
    #expect(try test.source.name == "kinetics" && test.clips.map(\.label) == [nil, nil])
  }

  @Test("a Moments list has no header, labels with '+', and a label list whose numbers order it")
  func moments() throws {
    let list = try Annotations(contentsOf: path("moments_train.csv"))
    #expect(list.source.name == "moments")
    #expect(try list.clips.map(\.id).contains("playing+music/yt-x y_2.mp4"))
    let classes = try ClassList(contentsOf: path("moments_labels.txt"))
    #expect(classes.names == ["juggling", "playing+music"])
    #expect(try list.clips.compactMap { $0.label.flatMap(classes.number(of:)) } == [0, 1, 0])
  }

  @Test("a Something-Something label list keeps brackets, commas and its order")
  func something() throws {
    let names = try ClassList(contentsOf: path("something_labels.txt")).names
    #expect(names.count == 3 && names[1] == "Putting [something], [something] and [something] on the table")
  }
}
