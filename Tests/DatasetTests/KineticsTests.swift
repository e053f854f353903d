// Kinetics lists in every public flavour, and the folders in which people have the clips.
import Foundation
import Testing

@testable import Dataset

@Suite struct KineticsTests {
  @Test("quoted labels with commas, ids that begin with '-', is_cc, CRLF and a byte-order mark")
  func header() throws {
    let list = try Annotations(
      "\u{FEFF}label,youtube_id,time_start,time_end,split,is_cc\r\n"
        + "\"rock, paper\",--nQbRBEz2s,104,114,train,0\r\n\r\n"
        + "abseiling,3caPS4FHFF8,3.0,13.0,train,1\r\n\"says \"\"no\"\"\",x,0,10,train,0")
    #expect(list.source.name == "kinetics")
    let clips = try list.clips
    #expect(clips.map(\.id) == ["--nQbRBEz2s_000104_000114", "3caPS4FHFF8_000003_000013", "x_000000_000010"])
    #expect(clips.map(\.label) == ["rock, paper", "abseiling", "says \"no\""])
    #expect(clips.map(\.place.line) == [2, 4, 5])
    #expect(clips[0].part == .seconds(104, 114))
  }

  @Test(
    "the same clip in every flavour of the list",
    arguments: [
      "label,youtube_id,time_start,time_end,split,is_cc\nair drumming,-a_bcdefgh1,1,11,train,0\n",
      "youtube_id,time_start,time_end,split,label\n-a_bcdefgh1,1.0,11.0,train,air drumming\n",
      ",label,youtube_id,time_start,time_end,split\n0,air drumming,-a_bcdefgh1,1,11,train\n",
      "\"label\",\"youtube_id\",\"time_start\",\"time_end\",\"split\"\n\"air drumming\",\"-a_bcdefgh1\",1,11,\"train\"\n",
      "air drumming,-a_bcdefgh1,1,11,train\n", "air drumming,-a_bcdefgh1,1,11,train,0\r\n",
      "{\"-a_bcdefgh1\": {\"annotations\": {\"label\": \"air drumming\", \"segment\": [1.0, 11.0]}, \"duration\": 10.0,\n"
        + "  \"subset\": \"train\", \"url\": \"https://www.youtube.com/watch?v=-a_bcdefgh1\"}}",
    ])
  func flavours(text: String) throws {
    let list = try Annotations(text)
    #expect(list.source.name == "kinetics")
    let clips = try list.clips
    #expect(clips.map(\.id) == ["-a_bcdefgh1_000001_000011"])
    #expect(clips.map(\.label) == ["air drumming"] && clips[0].part == .seconds(1, 11))
  }

  @Test("a test list has no labels, with a header and without; times may be missing")
  func testLists() throws {
    let list = try Annotations("youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,test\nabc,,,test\n")
    #expect(try list.clips.map(\.label) == [nil, nil])
    #expect(try list.clips.map(\.id) == ["--6bJUbfpnQ_000017_000027", "abc"])
    let bare = try Annotations("--6bJUbfpnQ,17,27,test\n--8YXc8iCt8,2,12,test\n")
    #expect(bare.source.name == "kinetics")
    #expect(try bare.clips.map(\.id) == ["--6bJUbfpnQ_000017_000027", "--8YXc8iCt8_000002_000012"])
    let untimed = try Annotations("label,youtube_id,split\nyoga,abc,train\n")
    #expect(try untimed.clips.map(\.id) == ["abc"] && untimed.clips[0].part == .whole)
  }

  @Test(
    "a row that cannot be read is left out by file, line, what was read and what was expected; the others stay",
    arguments: [
      ("rock, paper,abc,0,10", "3 columns where the header has"), ("a,b,soon,10", "'soon' is no time in seconds"),
      ("a,,0,10", "no youtube_id"), ("\"c,d", "a quote is opened and not closed in its line"),
      ("\"a\"b,d,1,2", "text follows a closing quote"), ("a,b,10,10", "the clip ends at 10 s and starts at 10 s"),
      ("a,b,nan,1e999", "'nan' is no time in seconds"), ("a,b,-1,5", "'-1' is no time in seconds"),
    ])
  func unreadable(row: String, problem: String) throws {
    let list = try Annotations("label,youtube_id,time_start,time_end\ngood,x,0,10\n\(row)\ngood,y,0,10\n")
    #expect(try list.clips.map(\.video) == ["x", "y"] && list.count == 2 && list.unreadable == 1)
    let problems = try list.problems
    #expect(problems.count == 1)
    let wanted = problem.replacingOccurrences(of: "3 columns", with: "5 columns")
    #expect(problems[0].hasPrefix("list.csv:3: read '\(row)', \(wanted)"), "\(problems)")
  }

  @Test("bytes that are not UTF-8 leave out their row")
  func notUTF8() throws {
    let data = Data("label,youtube_id\n".utf8) + [0xFF, UInt8(ascii: ","), UInt8(ascii: "b")] + Data("\na,c\n".utf8)
    let list = try Annotations(parsing: data, name: "list.csv")
    #expect(try list.clips.map(\.id) == ["c"])
    #expect(try list.problems[0].hasPrefix("list.csv:2: read '\u{FFFD},b', expected UTF-8"))
  }

  // MARK: Files

  private func file(_ row: String, among paths: [String], classes: Set<String> = []) throws -> ClipFile? {
    let list = try Annotations("label,youtube_id,time_start,time_end\n" + row)
    let folder = VideoFolder(root: "root", paths: paths)
    folder.classes = classes
    return try list.source.file(of: list.clips[0], in: folder)
  }

  @Test(
    "clips are found in class folders with spaces or '_', flat, in parts, with any extension",
    arguments: [
      "air drumming/-a_000001_000011.mp4", "train/air_drumming/-a_000001_000011.mkv", "-a_000001_000011.webm",
      "val/-a_000001_000011.avi", "part_0/-a_000001_000011.m4v", "Air-Drumming/-a_000001_000011.mp4.part.3gp",
      "air drumming/-a_1_11.ts",
    ])
  func places(path: String) throws {
    let trimmed = path.contains("part.3gp") ? "air drumming/-a_000001_000011.3gp" : path
    #expect(
      try file("air drumming,-a,1,11", among: ["air_drumming/b.mp4", trimmed], classes: ["airdrumming"])
        == ClipFile(path: trimmed))
  }

  @Test("a file with the bare id may be the whole video: its row's times go with it, and rows may share it")
  func untrimmed() throws {
    for path in ["-a.mov", "air drumming/-a.MP4"] {
      #expect(try file("air drumming,-a,1,11", among: [path]) == ClipFile(path: path, part: .seconds(1, 11)))
    }
    let list = try Annotations(
      "label,youtube_id,time_start,time_end,split\nrun,vid1,0,3,train\njump,vid1,3,7,train\nsit,vid1,7,10,train\n")
    let result = try ClipCandidates(
      of: list, classes: ClassList(labelsOf: list), folder: VideoFolder(root: "v", paths: ["vid1.mp4"]))
    #expect(result.rejected.isEmpty)
    #expect(result.found.map(\.id) == ["vid1_000000_000003", "vid1_000003_000007", "vid1_000007_000010"])
    #expect(result.found.map(\.part) == [.seconds(0, 3), .seconds(3, 7), .seconds(7, 10)])
    #expect(
      result.found.map(\.path) == ["vid1.mp4", "vid1.mp4", "vid1.mp4"] && result.found.map(\.labels[0]) == [1, 0, 2])
  }

  @Test("another class's folder, another clip, another time and a companion of the video are no match")
  func missing() throws {
    let paths = [
      "yoga/-a_000001_000011.mp4", "air drumming/-a_000002_000012.mp4", "air drumming/b_000001_000011.mp4",
      "air drumming/-a_000001_000011.json", "air drumming/-a_000001_000011.mp4.part",
    ]
    #expect(try file("air drumming,-a,1,11", among: paths, classes: ["yoga", "airdrumming"]) == nil)
  }

  @Test("the trimmed file is preferred to the bare id, the class folder to flat, mp4 to the others")
  func preference() throws {
    var paths = ["yoga/a_000001_000011.mp4", "yoga/a_000001_000011.mkv", "a_000001_000011.mp4", "yoga/a.mp4"]
    while let expected = paths.first {
      #expect(try file("yoga,a,1,11", among: paths.reversed())?.path == expected)
      paths.removeFirst()
    }
  }

  @Test("a replacement, below the videos or beside them as CVDF has it, stands for the damaged clip")
  func replacements() throws {
    let list = try Annotations("label,youtube_id,time_start,time_end\nyoga,a,1,11\nyoga,b,1,11\n")
    let folder = try VideoFolder.train([
      "/data/train/a_000001_000011.mp4", "/data/train/b_000001_000011.mp4",
      "/data/replacement/replacement_for_corrupted_k400/a_000001_000011.mp4",
    ])
    #expect(
      try list.clips.map { list.source.file(of: $0, in: folder)?.path } == [
        "../replacement/replacement_for_corrupted_k400/a_000001_000011.mp4", "b_000001_000011.mp4",
      ])
    #expect(
      try file("yoga,a,1,11", among: ["a_000001_000011.mp4", "replacement/a_000001_000011.mp4"])?.path
        == "replacement/a_000001_000011.mp4")
  }

  @Test("without the built-in videos folder, everything below the data folder is searched")
  func anywhere() throws {
    let list = try Annotations("label,youtube_id,time_start,time_end\nyoga,a,1,11\n")
    let folder = try VideoFolder.train(["/data/k400/val/yoga/a_000001_000011.mp4"])
    #expect(
      try list.clips.map { list.source.file(of: $0, in: folder)?.path } == ["../k400/val/yoga/a_000001_000011.mp4"])
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
    let isTest = list.hasSuffix("test.csv")
    let classes = try ClassList(contentsOf: SharedFormats.path(labels), training: isTest ? nil : annotations)
    #expect(annotations.source.name == "kinetics" && annotations.count == rows && annotations.unreadable == 0)
    #expect(classes.names.count == count && classes.warnings.isEmpty)
    let clips = try annotations.clips
    #expect(Set(clips.map(\.id)).count == rows)
    #expect(clips.allSatisfy { $0.part != .whole && !$0.video.contains("\"") })
    if isTest {
      #expect(clips.allSatisfy { $0.label == nil })
    } else {
      #expect(Set(clips.compactMap(\.label)) == Set(classes.names))
      #expect(try ClassList(labelsOf: annotations).names.count == count)
      // The same rows without their header.
      let text = try String(contentsOfFile: SharedFormats.path(list), encoding: .utf8)
      let bare = try Annotations(String(text.drop { $0 != "\n" && $0 != "\r\n" }))
      #expect(bare.source.name == "kinetics" && bare.count == rows)
    }
  }
}
