import Foundation
import Testing

@testable import Dataset

@Suite struct AnnotationsTests {
  private func parse(_ text: String) throws -> Annotations {
    try Annotations(parsing: Data(text.utf8), name: "list.csv")
  }

  @Test("Kinetics: quoted labels with commas, ids that begin with '-', is_cc, CRLF and a byte-order mark")
  func kinetics() throws {
    let list = try parse(
      "\u{FEFF}label,youtube_id,time_start,time_end,split,is_cc\r\n"
        + "\"rock, paper\",--nQbRBEz2s,104,114,train,0\r\n\r\n"
        + "abseiling,3caPS4FHFF8,3.0,13.0,train,1\r\n\"says \"\"no\"\"\",x,0,10,train,0")
    #expect(list.source.name == "kinetics")
    #expect(list.clips.map(\.id) == ["--nQbRBEz2s_000104_000114", "3caPS4FHFF8_000003_000013", "x_000000_000010"])
    #expect(list.clips.map(\.label) == ["rock, paper", "abseiling", "says \"no\""])
    #expect(list.clips.map(\.line) == [2, 4, 5])
    #expect(list.clips[0].start == 104 && list.clips[0].end == 114)
  }

  @Test("Kinetics: a test list has no labels, and times may be missing")
  func kineticsTest() throws {
    let list = try parse("youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,test\nabc,,,test\n")
    #expect(list.clips.map(\.label) == [nil, nil])
    #expect(list.clips.map(\.id) == ["--6bJUbfpnQ_000017_000027", "abc"])
  }

  @Test("Moments: no header, labels with '+', rows without a label")
  func moments() throws {
    let list = try parse("playing+music/a b_1.mp4,playing+music,3,1\nx.mp4\n")
    #expect(list.source.name == "moments")
    #expect(list.clips.map(\.id) == ["playing+music/a b_1.mp4", "x.mp4"])
    #expect(list.clips.map(\.label) == ["playing+music", nil])
  }

  @Test(
    "what cannot be understood is named with file and line",
    arguments: [
      ("", "list.csv:1: the list is empty"),
      ("label,youtube_id\n", "list.csv:1: the list has a header, but no clips"),
      ("what,is\nthis,1\n", "list.csv:1: none of the known formats: kinetics (a header"),
      ("label,youtube_id\nrock, paper,abc\n", "list.csv:2: 3 columns where the header has 2"),
      ("label,youtube_id\na,b\n\"c,d\ne,f\n", "list.csv:3: a quote is opened and never closed"),
      ("label,youtube_id\n\"a\nb\"c,d\n", "list.csv:3: text follows a closing quote"),
      ("label,youtube_id,time_start\na,b,soon\n", "list.csv:2: 'soon' is no time"),
      ("label,youtube_id\na,\n", "list.csv:2: no youtube_id"),
      ("a.mp4,b\nc,d\n", "list.csv:2: 'c' is no path"),
    ])
  func errors(text: String, message: String) {
    let error = #expect(throws: DatasetError.self) { try parse(text) }
    #expect(error?.description.hasPrefix(message) == true, "\(String(describing: error))")
    #expect(error?.status == .badData)
  }

  @Test("bytes that are not UTF-8 are named with file and line")
  func notUTF8() {
    let data = Data("label,youtube_id\n".utf8) + [0xFF, UInt8(ascii: ","), UInt8(ascii: "b")]
    let error = #expect(throws: DatasetError.self) { try Annotations(parsing: data, name: "list.csv") }
    #expect(error?.description.hasPrefix("list.csv:2: not UTF-8") == true)
  }

  @Test("a missing list is an I/O error that names it")
  func missing() {
    let error = #expect(throws: DatasetError.self) { try Annotations(contentsOf: "nowhere/list.csv") }
    #expect(error?.status == .ioError && error?.description.contains("nowhere/list.csv") == true)
  }

  @Test(
    "no row of the real Kinetics lists is lost",
    .enabled(if: !SharedFormats.isMissing, "../shared/formats is missing"),
    arguments: [
      ("kinetics-400_val.csv", "kinetics_label_map_k400.txt", 19906, 400),
      ("kinetics-600_val.csv", "kinetics_label_map_k600.txt", 30000, 600),
      ("kinetics-400_test.csv", "kinetics_label_map_k400.txt", 38685, 400),
    ])
  func realLists(list: String, labels: String, rows: Int, count: Int) throws {
    let annotations = try Annotations(contentsOf: SharedFormats.path(list))
    let classes = try ClassList(contentsOf: SharedFormats.path(labels))
    #expect(annotations.clips.count == rows)
    #expect(classes.names.count == count)
    #expect(annotations.clips.allSatisfy { $0.start != nil && $0.end != nil && !$0.video.contains("\"") })
    if list.hasSuffix("test.csv") {
      #expect(annotations.clips.allSatisfy { $0.label == nil })
    } else {
      #expect(Set(annotations.clips.compactMap(\.label)) == Set(classes.names))
      #expect(try ClassList(labelsOf: annotations).names.count == count)
    }
  }
}

@Suite struct ClassListTests {
  private func parse(_ text: String) throws -> ClassList { try ClassList(parsing: Data(text.utf8), name: "labels.txt") }

  @Test("one name a line keeps its order and its commas")
  func lines() throws {
    let list = try parse("clapping\r\nabout, or so\n\nbird\n")
    #expect(list.names == ["clapping", "about, or so", "bird"])
    #expect(list.number(of: "bird") == 2 && list.number(of: "cat") == nil)
  }

  @Test("name,number lines are ordered by number")
  func numbered() throws { #expect(try parse("b,1\n\"a,c\",0\n").names == ["a,c", "b"]) }

  @Test("names twice, gaps in the numbers and empty files are refused", arguments: ["a\na\n", "a,0\nb,2\n", ""])
  func errors(text: String) {
    let error = #expect(throws: DatasetError.self) { try parse(text) }
    #expect(error?.description.hasPrefix("labels.txt: ") == true)
  }

  @Test("a training list's labels are sorted by bytes")
  func sorted() throws {
    let list = try Annotations(parsing: Data("1.mp4,b\n2.mp4,B\n3.mp4,é\n4.mp4,b\n".utf8), name: "x")
    #expect(try ClassList(labelsOf: list).names == ["B", "b", "é"])
  }

  @Test(
    "the real label lists are read whole", .enabled(if: !SharedFormats.isMissing, "../shared/formats is missing"),
    arguments: [("mit_label_map.txt", 339), ("sthv2_label_map.txt", 174), ("kinetics_label_map_k700.txt", 700)])
  func real(file: String, count: Int) throws {
    #expect(try ClassList(contentsOf: SharedFormats.path(file)).names.count == count)
  }
}
