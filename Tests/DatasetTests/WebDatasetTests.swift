// Tar archives and the samples in them. The archives are written here, and by the system's tar.
import Foundation
import Testing

@testable import Dataset

/// A tar archive of small files.
struct TarWriter {
  private(set) var data = Data()

  static func header(_ name: String, size: Int, type: Character = "0", prefix: String = "") -> [UInt8] {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at start: Int) { for (i, byte) in text.utf8.enumerated() { header[start + i] = byte } }
    put(String(name.prefix(100)), at: 0)
    put("0000644\0", at: 100)
    let octal = String(size, radix: 8)
    put(String(repeating: "0", count: 11 - octal.count) + octal, at: 124)
    put(String(type), at: 156)
    put("ustar\u{0}00", at: 257)
    put(prefix, at: 345)
    put("        ", at: 148)
    let sum = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - sum.count) + sum + "\0 ", at: 148)
    return header
  }

  mutating func add(_ name: String, _ text: String, type: Character = "0", prefix: String = "") {
    data += TarWriter.header(name, size: text.utf8.count, type: type, prefix: prefix)
    data += Data(text.utf8) + Data(count: (512 - text.utf8.count % 512) % 512)
  }

  mutating func end() { data += Data(count: 1024) }
}

@Suite struct WebDatasetTests {
  private func shard() -> TarWriter {
    var tar = TarWriter()
    tar.add("./", "", type: "5")
    tar.add("a/000.mp4", "VIDEO0")
    tar.add("a/000.cls", "3\n")
    tar.add("a/001.json", #"{"label": "air drumming", "x": 1}"#)
    tar.add("a/001.webm", "VIDEO1")
    tar.add("a/001.txt", "a man plays the drums")
    tar.add("PaxHeader", "34 path=a/\u{FC}ber lange namen.x.mkv\n", type: "x")
    tar.add("short", "VIDEO2")
    tar.add("././@LongLink", String(repeating: "n", count: 120) + ".mov\0", type: "L")
    tar.add("nnn", "VIDEO3")
    tar.add(String(repeating: "n", count: 100), "3 5", prefix: "")
    tar.add("b.txt", "yoga", prefix: "deep/er")
    tar.add("b.avi", "VIDEO4", prefix: "deep/er")
    return tar
  }

  @Test("samples are found with the places of their videos, and labels from .cls, .json and .txt")
  func samples() throws {
    var tar = shard()
    tar.end()
    try withFiles([:]) { root in
      try tar.data.write(to: URL(fileURLWithPath: "\(root)/s-0.tar"))
      for name in ["s-0.tar", "s-{0..0}.tar", "s-*.tar", "."] {
        let list = try Annotations(contentsOf: "\(root)/\(name)")
        #expect(list.source.name == "webdataset")
        let clips = try list.clips
        let long = String(repeating: "n", count: 120)
        #expect(
          clips.map(\.id) == [
            "s-0/a/000", "s-0/a/001", "s-0/a/über lange namen", "s-0/\(long)", "s-0/deep/er/b",
          ])
        #expect(clips.map(\.labels) == [["3"], ["air drumming"], [], [], ["yoga"]])
        let texts = clips.map { clip in
          clip.bytes.map { String(decoding: tar.data[Int($0.lowerBound)..<Int($0.upperBound)], as: UTF8.self) }
        }
        #expect(texts == (0..<5).map { "VIDEO\($0)" })
        let folder = try VideoFolder(root: "\(root)/train", data: root, lists: root, isOptional: true)
        #expect(list.source.file(of: clips[0], in: folder) == ClipFile(path: "../s-0.tar", bytes: clips[0].bytes))
      }
    }
  }

  @Test("a list of shards is read in its order; a shard that is missing leaves out itself")
  func listOfShards() throws {
    var (one, two) = (TarWriter(), TarWriter())
    one.add("0.mp4", "a")
    one.add("0.cls", "1")
    two.add("0.mp4", "b")
    two.add("0.cls", "0")
    try withFiles(["train.txt": "shards/{0..1}.tar\nshards/gone.tar\n", "shards/": ""]) { root in
      try one.data.write(to: URL(fileURLWithPath: "\(root)/shards/0.tar"))
      try two.data.write(to: URL(fileURLWithPath: "\(root)/shards/1.tar"))
      let list = try Annotations(contentsOf: "\(root)/train.txt")
      #expect(list.source.name == "webdataset")
      #expect(try list.clips.map(\.id) == ["0/0", "1/0"] && list.clips.map(\.label) == ["1", "0"])
      #expect(
        try list.problems.count == 1 && list.problems[0].hasPrefix("\(root)/train.txt:2: read 'shards/gone.tar', "))
    }
  }

  @Test("shards of one name in different folders give different ids, and those of other names keep theirs")
  func sameNames() throws {
    var tar = TarWriter()
    tar.add("0.mp4", "a")
    tar.add("0.cls", "1")
    let names = ["a/s/x.tar", "b/s/x.tar", "b/y.tar"]
    try withFiles(["train.txt": names.joined(separator: "\n"), "a/s/": "", "b/s/": ""]) { root in
      for name in names { try tar.data.write(to: URL(fileURLWithPath: "\(root)/\(name)")) }
      #expect(try Annotations(contentsOf: "\(root)/train.txt").clips.map(\.id) == ["a/s/x/0", "b/s/x/0", "y/0"])
    }
    #expect(WebDatasetAnnotations.prefixes(["/d/x.tar", "/d/x.tar", "/d/e/z.tar"]) == ["x", "x", "z"])
    #expect(WebDatasetAnnotations.prefixes(["/d/x.tar", "/d/e/x.tar"]) == ["x", "e/x"])
  }

  @Test("compressed shards are refused in one line that says what to do", arguments: ["s.tar.gz", "s.tgz", "s.tar"])
  func compressed(name: String) throws {
    try withFiles(["shards/": "", "list.txt": "shards/\(name)\n"]) { root in
      let path = "\(root)/shards/\(name)"
      try Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0]).write(to: URL(fileURLWithPath: path))
      for list in [path, "\(root)/shards", "\(root)/list.txt"] {
        let text = message { _ = try Annotations(contentsOf: list) }
        #expect(
          text.hasPrefix("\(path): is compressed, so that no clip in it can be read by itself; decompress"), "\(text)")
      }
    }
  }

  @Test("an archive that is cut off or damaged keeps the samples before that place, and says where")
  func damaged() throws {
    var tar = shard()
    let cut = tar.data.count - 512
    tar.end()
    try withFiles([:]) { root in
      let path = "\(root)/s.tar"
      for (data, reason) in [
        (tar.data.prefix(cut), "the archive is cut off"), (tar.data.prefix(cut - 100), "the archive is cut off"),
        (tar.data.prefix(2560) + Data(repeating: 9, count: 2048), "the archive is damaged at byte 2560"),
      ] {
        try Data(data).write(to: URL(fileURLWithPath: path))
        let list = try Annotations(contentsOf: path)
        let (clips, problems) = (try list.clips, try list.problems)
        #expect(!clips.isEmpty && problems.count == 1 && problems[0].contains(reason), "\(problems)")
      }
      try Data("not a tar at all, whatever its name".utf8).write(to: URL(fileURLWithPath: path))
      #expect(message { _ = try Annotations(contentsOf: path) }.hasPrefix("\(path):1: the archive is"))
    }
  }

  @Test("sizes of a header cannot make it wrap or take memory")
  func hostile() throws {
    for size in ["77777777777", "\u{80}\u{FF}"] {
      var header = TarWriter.header("a.mp4", size: 3)
      for (i, byte) in size.unicodeScalars.enumerated() { header[124 + i] = UInt8(truncatingIfNeeded: byte.value) }
      if size.count == 2 { for i in 126..<136 { header[i] = 0xFF } }
      for i in 148..<156 { header[i] = 32 }
      let sum = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
      for (i, byte) in sum.utf8.enumerated() { header[148 + i] = byte }
      header[148 + sum.count] = 0
      try withFiles([:]) { root in
        try Data(header + [1, 2, 3]).write(to: URL(fileURLWithPath: "\(root)/s.tar"))
        #expect(message { _ = try Annotations(contentsOf: "\(root)/s.tar") }.contains("the archive is"))
      }
    }
  }
}
