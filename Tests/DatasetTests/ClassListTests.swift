// Classes from a list's labels, and from label files as people have them.
import Foundation
import Testing

@testable import Dataset

@Suite struct ClassListTests {
  private func parse(_ text: String, _ training: String? = nil) throws -> ClassList {
    try ClassList(
      parsing: Data(text.utf8), name: "labels.txt",
      training: training.map { try Annotations($0, "list", name: "train.csv") })
  }

  @Test("one name a line keeps its order and its commas")
  func lines() throws {
    let list = try parse("clapping\r\nabout, or so\n\nbird\n")
    #expect(list.names == ["clapping", "about, or so", "bird"])
    #expect(list.number(of: "bird") == 2 && list.number(of: "cat") == nil)
  }

  @Test(
    "numbers before or after the names, from 0 or 1, in any order, with or without a header, as text or JSON",
    arguments: [
      "b,1\n\"a,c\",0\n", "0\ta,c\n1\tb\n", "1 a,c\n2 b\n", "b 1\na,c 0\n", "id,name\n1,b\n0,\"a,c\"\n",
      "0: a,c\n1: b\n", "name;id\nb;2\na,c;1\n", "a,c\nb\n", "label\na,c\nb\n", "{\"b\": 1, \"a,c\": 0}",
      "[\"a,c\", \"b\"]",
      "{\"0\": \"a,c\", \"1\": \"b\"}", "{\"b\": \"1\",\n\"\\\"a,c\\\"\": \"0\"}", "\u{FEFF}a,c\r\nb",
    ])
  func numbered(text: String) throws { #expect(try parse(text).names == ["a,c", "b"]) }

  @Test(
    "what is wrong with a label file is said by its name and line",
    arguments: [
      ("a\nb\na\n", "labels.txt:3: the class 'a' is listed twice, first in line 1"),
      ("a,0\nb,2\n", "labels.txt:2: no class has the number 1; expected the numbers 0 to 1, each once"),
      ("a,0\nb,0\n", "labels.txt:2: the number 0 is that of 'a' and of 'b'; expected the numbers 0 to 1, each once"),
      ("", "labels.txt:1: the file is empty; expected a class name on each line"),
      ("id,name\n0,a\nx,b\n", "labels.txt:3: read 'x,b', expected a row of id,name"),
      ("{\"a\": {}}", "labels.txt:1: read '{}', expected a class name and its number"),
      ("[\"a\"", "labels.txt:1: the JSON ends too early: the file is cut off"),
    ])
  func errors(text: String, expected: String) {
    #expect(message { _ = try parse(text) } == expected)
  }

  @Test("a training list's names are sorted by bytes")
  func sorted() throws {
    let list = try Annotations("1.mp4,b\n2.mp4,B\n3.mp4,é\n4.mp4,b\n")
    #expect(try ClassList(labelsOf: list).names == ["B", "b", "é"])
  }

  @Test("numeric labels sort as numbers, and label n is class n")
  func numbers() throws {
    let list = try Annotations((0..<12).reversed().map { "c\($0).mp4,\($0)\n" }.joined())
    let classes = try ClassList(labelsOf: list)
    #expect(classes.names == (0..<12).map(String.init) && classes.warnings.isEmpty)
    #expect((0..<12).allSatisfy { classes.number(of: String($0)) == $0 })
    #expect(classes.number(of: "007") == 7 && classes.number(of: "12") == nil)
  }

  @Test("gaps and -1 are named; numbers from 1 are taken as they are; far numbers are only ordered")
  func gaps() throws {
    let gap = try ClassList(labelsOf: Annotations("a.mp4 0\nb.mp4 2\nc.mp4 -1\nd.mp4 5\ne.mp4 -1\n", name: "train.txt"))
    #expect(gap.names == ["0", "1", "2", "3", "4", "5"] && gap.number(of: "-1") == nil && gap.number(of: "5") == 5)
    #expect(
      gap.warnings == [
        "train.txt: no clip has the labels '1', '3', '4'",
        "train.txt: 2 rows have the label '-1', which is none, and are left out",
      ])
    let one = try ClassList(labelsOf: Annotations("a.mp4 1\nb.mp4 2\n"))
    #expect(one.names == ["1", "2"] && one.number(of: "1") == 0 && one.warnings.isEmpty)
    let far = try ClassList(labelsOf: Annotations("a.mp4 7\nb.mp4 999999999\n"))
    #expect(far.names == ["7", "999999999"] && far.warnings.count == 1)
    #expect(message { _ = try ClassList(labelsOf: Annotations("a.mp4 -1\n")) }.contains("no row has a label"))
  }

  @Test("a list's numbers are the label file's classes, from 0, or from 1 where the file or the list says so")
  func namedNumbers() throws {
    let zero = try parse("a\nb\nc\n", "x.mp4 0\ny.mp4 2\n")
    #expect(zero.number(of: "2") == 2 && zero.names == ["a", "b", "c"])
    #expect(zero.warnings == ["train.csv: 1 of the 3 classes of labels.txt have no clip: 'b'"])
    let one = try parse("a\nb\nc\n", "x.mp4 1\ny.mp4 3\nz.mp4 2\n")
    #expect(one.number(of: "3") == 2)
    #expect(one.warnings == ["train.csv: its labels are the numbers 1 to 3, so 1 is the first of labels.txt, 'a'"])
    let given = try parse("1 a\n2 b\n3 c\n", "x.mp4 1\ny.mp4 2\n")
    #expect(given.number(of: "2") == 1)
    let zeroAgain = try parse("1 a\n2 b\n3 c\n", "x.mp4 0\ny.mp4 2\n")
    #expect(zeroAgain.number(of: "2") == 2)
  }

  @Test("names count that differ by case, blanks and punctuation alone, unless two classes would be meant")
  func plainNames() throws {
    let list = try parse("Air drumming\nput [x] on y\na-b\na b\n")
    #expect(list.number(of: "air_drumming") == 0 && list.number(of: "put x on y") == 1)
    #expect(list.number(of: "a-b") == 2 && list.number(of: "a b") == 3 && list.number(of: "a_b") == nil)
    #expect(list.number(of: "") == nil && list.number(of: "!") == nil)
  }

  @Test("a label file that does not fit the list is named, with some of both")
  func strange() throws {
    #expect(
      message { _ = try parse("yoga\nzumba\n", "a.mp4,run\nb.mp4,sit\n") }
        == "labels.txt: has none of the labels of train.csv: there they are 'run', 'sit'; here the classes are 'yoga', 'zumba'"
    )
    let some = try parse("yoga\nzumba\n", "a.mp4,yoga\nb.mp4,sit\nc.mp4,zumba\n")
    #expect(some.warnings == ["labels.txt: lacks 1 labels of train.csv: 'sit'; their rows are left out"])
    // A class may have the name of a header.
    #expect(try parse("class\nb\n", "a.mp4,class\nb.mp4,b\n").names == ["class", "b"])
  }

  @Test(
    "the real label lists are read whole", .enabled(if: !SharedFormats.isMissing, "../shared/formats is missing"),
    arguments: [("mit_label_map.txt", 339), ("sthv2_label_map.txt", 174), ("kinetics_label_map_k700.txt", 700)])
  func real(file: String, count: Int) throws {
    let classes = try ClassList(contentsOf: SharedFormats.path(file))
    #expect(classes.names.count == count)
    let text = try String(contentsOfFile: SharedFormats.path(file), encoding: .utf8)
    #expect(classes.names == text.split(whereSeparator: \.isNewline).map(String.init))
  }
}
