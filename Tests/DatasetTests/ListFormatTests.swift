// `path label` as people write it.
import Foundation
import Testing

@testable import Dataset

@Suite struct ListFormatTests {
  private func rows(_ text: String, _ format: String = "auto") throws -> [String] {
    let list = try Annotations(text, format)
    #expect(list.source.name == "list")
    return try list.clips.map { "\($0.video)|\($0.labels.joined(separator: "+"))" }
  }

  @Test(
    "the same rows with every separator, with and without a header",
    arguments: [
      "v/c 1.mp4,air drumming\nb.mkv,yoga\n", "v/c 1.mp4\tair drumming\nb.mkv\tyoga\n",
      "v/c 1.mp4;air drumming\nb.mkv;yoga\n", "v/c 1.mp4 air drumming\nb.mkv yoga\n",
      "video,label\nv/c 1.mp4,air drumming\nb.mkv,yoga\n", "label\tpath\nair drumming\tv/c 1.mp4\nyoga\tb.mkv\n",
      "video label\nv/c 1.mp4 air drumming\nb.mkv yoga\n", "id;class;path\n0;air drumming;v/c 1.mp4\n1;yoga;b.mkv\n",
      "\"path\",\"label\"\r\n\"v/c 1.mp4\",\"air drumming\"\r\n\"b.mkv\",\"yoga\"\r\n",
      "Clip, What it shows\nv/c 1.mp4, air drumming\nb.mkv, yoga\n",
    ])
  func separators(text: String) throws {
    let isColumns = text.hasPrefix("video label")
    if isColumns {
      // Blanks separate columns only where no name has one.
      #expect(try rows("video label\nv/c1.mp4 a\nb.mkv yoga\n") == ["v/c1.mp4|a", "b.mkv|yoga"])
    } else {
      #expect(try rows(text) == ["v/c 1.mp4|air drumming", "b.mkv|yoga"])
    }
  }

  @Test(
    "odd rows are split from the right",
    arguments: [
      ("a,b.mp4 3\nc.mp4 4\n", ["a,b.mp4|3", "c.mp4|4"]), ("x y z.mp4,3\nw.mp4,4\n", ["x y z.mp4|3", "w.mp4|4"]),
      ("c1.mp4,rock, paper\nc2.mp4,yoga\n", ["c1.mp4|rock, paper", "c2.mp4|yoga"]),
      ("some/folder 3\nother 12\n", ["some/folder|3", "other|12"]),
      ("a.b.m2ts -1\nc.mp4 2\n", ["a.b.m2ts|-1", "c.mp4|2"]),
      ("/abs/ü b.mp4;x;y\n", ["/abs/ü b.mp4|x;y"]), ("a.mp4 3.0\nb.mp4 4.0\n", ["a.mp4|3", "b.mp4|4"]),
      ("a.mp4 3 7 9\nb.mp4 4\n", ["a.mp4|3+7+9", "b.mp4|4"]), ("a.mp4,3;7\nb.mp4,4\n", ["a.mp4|3+7", "b.mp4|4"]),
      ("path,labels\na.mp4,\"3,7\"\nb.mp4,4\n", ["a.mp4|3+7", "b.mp4|4"]), ("a.mp4\nb.webm\n", ["a.mp4|", "b.webm|"]),
      ("path,label\na.mp4,rock, paper\n", ["a.mp4|rock, paper"]),
      ("a.mp4\t\tyoga\nb.mp4\tb c\n", ["a.mp4|yoga", "b.mp4|b c"]),
      ("clip_name,clip_path,label\nv_1,/train/S/v_1.avi,S\n", ["/train/S/v_1.avi|S"]),
    ])
  func odd(text: String, expected: [String]) throws { #expect(try rows(text, "list") == expected) }

  @Test("columns with times are parts of their file, and rows may share it")
  func times() throws {
    let list = try Annotations("video,start,end,label\na.mp4,0,2.5,run\na.mp4,2.5,4,sit\nb.mp4,,,run\nc.mp4,5,x,run\n")
    #expect(try list.clips.map(\.id) == ["a.mp4_000000_2.5", "a.mp4_2.5_000004", "b.mp4"])
    #expect(try list.clips.map(\.part) == [.seconds(0, 2.5), .seconds(2.5, 4), .whole])
    #expect(try list.problems == ["list.csv:5: read 'c.mp4,5,x,run', 'x' is no time in seconds"])
  }

  @Test("rows that are none are left out: no label after the path, a column too many, an open quote")
  func problems() throws {
    let list = try Annotations("path,label\na.mp4,yoga\nb.mp4\n\"c.mp4,x\n,yoga\n")
    #expect(try list.clips.map(\.id) == ["a.mp4"])
    #expect(
      try list.problems == [
        "list.csv:3: read 'b.mp4', 1 columns where the header has 2; a field with a comma must be quoted",
        "list.csv:4: read '\"c.mp4,x', a quote is opened and not closed in its line",
        "list.csv:5: read ',yoga', no path",
      ])
  }

  @Test(
    "a path is absolute, or relative to the videos folder, the list's folder, the data folder or one of their splits",
    arguments: [
      ("/data/train/a.mp4", "a.mp4", "a.mp4"), ("/elsewhere/x/a.mp4", "/elsewhere/x/a.mp4", "/elsewhere/x/a.mp4"),
      ("/data/train/b/a.m4v", "b/a.m4v", "b/a.m4v"), ("/data/lists/a.mp4", "a.mp4", "../lists/a.mp4"),
      ("/data/v/a.mp4", "v/a.mp4", "../v/a.mp4"), ("/data/train/a.mp4", "train/a.mp4", "a.mp4"),
      ("/data/train/a.mp4", "./a.mp4", "a.mp4"), ("/data/train/a.mp4", "/data/train/a.mp4", "a.mp4"),
      ("/data/v/a.mp4", "/v/a.mp4", "../v/a.mp4"), ("/data/v/a.mp4", "../v/a.mp4", "../v/a.mp4"),
      ("/data/train/b/a.webm", "b/a", "b/a.webm"), ("/data/train/training/b/a.mp4", "b/a.mp4", "training/b/a.mp4"),
      ("/data/train/b/#1 ü, x;.mp4", "b/#1 ü, x;.mp4", "b/#1 ü, x;.mp4"), ("/data/train/clip/1.jpg", "clip", "clip"),
    ])
  func places(file: String, row: String, expected: String) throws {
    let folder = try VideoFolder.train([file, "/data/train/other.mp4", "/data/lists/"], lists: "/data/lists")
    let list = try Annotations("\(row)\t3\n", "list")
    let file = file.hasSuffix("/1.jpg") ? String(file.dropLast(6)) : file
    let found = try list.clips.map { list.source.file(of: $0, in: folder)?.path }
    #expect(found == [expected])
    // What the index holds leads back to the file, here and where the data lies elsewhere.
    #expect(clipPath(data: "/data", videos: "train", path: expected) == file)
    if !expected.hasPrefix("/") {
      #expect(
        clipPath(data: "/mnt/copy", videos: "train", path: expected)
          == file.replacingOccurrences(of: "/data", with: "/mnt/copy"))
    }
  }

  @Test("a file is found by the name in the row, with its extension where the row gives one")
  func names() throws {
    let folder = try VideoFolder.train([
      "/data/train/a.mkv", "/data/train/a.mp4", "/data/train/b.json", "/data/train/c.mp4.txt",
    ])
    func file(_ path: String) -> String? { folder.file(named: path) }
    #expect(file("a.mkv") == "a.mkv" && file("a") == "a.mp4" && file("a.avi") == nil)
    #expect(file("b") == nil && file("c.mp4") == nil && file("") == nil && file("/") == nil && file("..") == nil)
  }
}
