import Foundation
import Shared
import Testing

@testable import Dataset

@Suite struct ClipIndexTests {
  private func entry(_ id: String, label: Int = 0) -> ClipEntry {
    ClipEntry(
      id: id, path: "a\tb/\(id)\n\\.mp4", labels: [label], bytes: 1 << 40, hash: Digest128(high: 1, low: .max),
      offset: 1 << 33, first: 7, frames: 24, isProved: true, head: 34, width: 340, height: 256, frameRate: 29.97,
      codec: "h264")
  }

  @Test("an index gives the same clips when it is read, whatever is in the names, looked up by number and by id")
  func roundTrip() throws {
    let clips = [entry("b"), entry("-a é\r\n", label: 1), entry("ba")]
    let index = try ClipIndex(classes: ["left\r\n", "right, \"up\"", ""], clips: clips)
    let decoded = try ClipIndex(decoding: index.encoded)
    #expect(decoded == index && decoded.digest == index.digest)
    #expect(decoded.classes == ["left\r\n", "right, \"up\"", ""])
    #expect(Array(decoded.clips) == [clips[1], clips[0], clips[2]])
    for (number, clip) in decoded.clips.enumerated() { #expect(decoded.number(of: clip.id) == number) }
    for id in ["", "-", "-a", "a", "b\0", "bb", "c"] { #expect(decoded.number(of: id) == nil) }
    #expect(Digest128(of: index.encoded) == index.digest)
  }

  @Test("clips have their classes, and the rows of those with one are as if none had several")
  func severalClasses() throws {
    var clips = [entry("a", label: 1), entry("b"), entry("é")]
    let single = try ClipIndex(classes: ["x", "y", "z"], clips: clips)
    clips[1].labels = [0, 2]
    clips[1].path = "1,2\n"
    clips[2].labels = [0, 1, 2]
    clips[2].codec = ""
    let index = try ClipIndex(classes: ["x", "y", "z"], clips: clips)
    #expect(try Array(ClipIndex(decoding: index.encoded).clips) == clips)
    #expect(index.firstWithSeveralClasses == 1 && single.firstWithSeveralClasses == nil)
    #expect(index.names(of: clips[1]) == "x; z" && single.clips[0] == index.clips[0])
    #expect(index.encoded.count == single.encoded.count + 3 + 5 - 4 - clips[0].path.utf8.count + 4)
    #expect(index.clips.orderOfFiles == [1, 0, 2])
    for labels in [[], [2, 1], [1, 1], [0, 3], [-1, 0]] {
      clips[1].labels = labels
      #expect(throws: DatasetError.self) { try ClipIndex(classes: ["x", "y", "z"], clips: clips) }
    }
  }

  @Test("an index without clips is one")
  func empty() throws {
    let index = try ClipIndex(classes: ["x"], clips: [])
    #expect(index.clips.isEmpty && index.number(of: "a") == nil)
    #expect(try ClipIndex(decoding: index.encoded) == index)
  }

  @Test("the digest knows nothing of the order in which clips were found, and everything of what they are")
  func digest() throws {
    let clips = [entry("B"), entry("a"), entry("é")]
    let index = try ClipIndex(classes: ["x"], clips: clips)
    #expect(try ClipIndex(classes: ["x"], clips: clips.reversed()).digest == index.digest)
    #expect(index.clips.map(\.id) == ["B", "a", "é"])
    let changes: [(inout ClipEntry) -> Void] = [
      { $0.hash.low -= 1 }, { $0.hash.high -= 1 }, { $0.bytes += 1 }, { $0.offset += 1 }, { $0.first += 1 },
      { $0.frames += 1 }, { $0.isProved = false }, { $0.head &+= 1 }, { $0.width += 1 }, { $0.height += 1 },
      { $0.frameRate += 1 },
      { $0.codec = "vp9" }, { $0.path += "x" }, { $0.id += "x" },
    ]
    for change in changes {
      var other = clips
      change(&other[1])
      #expect(try ClipIndex(classes: ["x"], clips: other).digest != index.digest)
    }
    #expect(try ClipIndex(classes: ["y"], clips: clips).digest != index.digest)
  }

  @Test(
    "the order of files is that of their paths' bytes, and of their places in a shard, from a list as from an index")
  func orderOfFiles() throws {
    let files: [(path: String, offset: UInt64)] = [
      ("b.tar", 1024), ("a.tar", 512), ("e\u{301}", 0), ("B", 0), ("b.tar", 512), ("é", 0), ("a", 0), ("b.tar", 66048),
      ("a.tar", 1 << 40),
    ]
    let clips = files.enumerated().map { number, file in
      var clip = entry("clip \(number)")
      (clip.path, clip.offset) = (file.path, file.offset)
      return clip
    }
    let expected = ["B", "a", "a.tar 512", "a.tar 1099511627776", "b.tar 512", "b.tar 1024", "b.tar 66048"]
    func shown(_ path: String, _ offset: UInt64) -> String { offset == 0 ? path : "\(path) \(offset)" }
    let index = try ClipIndex(classes: ["x"], clips: clips).clips
    let order = index.orderOfFiles.map { index[Int($0)] }
    #expect(order.prefix(7).map { shown($0.path, $0.offset) } == expected)
    // To Swift, the last two are equal.
    #expect(
      order.suffix(2).map { Array($0.path.utf8) } == [Array("e\u{301}".utf8), Array("é".utf8)].sorted { $0[0] < $1[0] })
    var list = CandidateList()
    for clip in clips {
      list.append(ClipCandidate(id: clip.id, path: clip.path, labels: [0], bytes: clip.bytesInShard), line: 1)
    }
    #expect(list.orderOfFiles.map { list[Int($0)].id } == order.map(\.id))
    #expect(try ClipIndex(classes: ["x"], clips: []).clips.orderOfFiles.isEmpty)
  }

  @Test("an id that comes twice, a label of no class and numbers that no clip can have are refused")
  func refused() {
    #expect(throws: DatasetError.self) { try ClipIndex(classes: ["x"], clips: [entry("a"), entry("a")]) }
    #expect(throws: DatasetError.self) { try ClipIndex(classes: ["x"], clips: [entry("a", label: 1)]) }
    let changes: [(inout ClipEntry) -> Void] = [
      { $0.first = -1 }, { $0.frames = .max }, { $0.width = 65536 }, { $0.height = -1 }, { $0.frameRate = .nan },
      { $0.frameRate = -1 }, { $0.bytes = .max }, { $0.labels = [-1] },
      { $0.codec = String(repeating: "x", count: 65536) },
    ]
    for change in changes {
      var clip = entry("a")
      change(&clip)
      #expect(throws: DatasetError.self) { try ClipIndex(classes: ["x"], clips: [clip]) }
    }
  }

  @Test("a file with a byte that is another, or of another length, is refused with its name")
  func damage() throws {
    let good = try ClipIndex(classes: ["x", "yé"], clips: [entry("a"), entry("b", label: 1)]).encoded
    for place in good.indices {
      for bit in [UInt8(1), 0x80] {
        var bad = good
        bad[place] ^= bit
        let error = #expect(throws: DatasetError.self) { try ClipIndex(decoding: bad, name: "train.clips") }
        #expect(error?.description.hasPrefix("train.clips: ") == true && error?.status == .badData)
      }
    }
    for length in 0..<good.count {
      #expect(throws: DatasetError.self) { try ClipIndex(decoding: good.prefix(length)) }
    }
    #expect(throws: DatasetError.self) { try ClipIndex(decoding: good + Data([0])) }
  }

  @Test("a file that was altered with a fitting digest is refused or is an index: nothing in it is out of place")
  func forged() throws {
    var several = entry("bé", label: 0)
    several.labels = [0, 1]
    let good = try ClipIndex(classes: ["x", "yé"], clips: [entry("a"), several]).encoded
    let body = good.count - SortedRows.trailerBytes
    var accepted = 0
    for place in 0..<body {
      for value in [UInt8(0), 1, 0x7F, 0x80, 0xFF] where good[place] != value {
        var bad = Data(good.prefix(body))
        bad[place] = value
        let digest = Digest128(of: bad)
        var trailer: [UInt8] = []
        trailer.append(littleEndian: digest.high)
        trailer.append(littleEndian: digest.low)
        guard let index = try? ClipIndex(decoding: bad + trailer) else { continue }
        accepted += 1
        var ids: [String] = []
        for clip in index.clips {
          #expect(clip.labels.allSatisfy(index.classes.indices.contains) && !clip.labels.isEmpty)
          #expect(clip.range.count == clip.frames && clip.seconds >= 0)
          #expect(index.number(of: clip.id) == ids.count)
          ids.append(clip.id)
        }
        #expect(ids.count == 2)
      }
    }
    // Sizes, hashes and names may be anything.
    #expect(accepted > 100)
  }

  @Test("an index that is written to a file and mapped is the one in memory, and its export has a line for each clip")
  func files() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("clips-\(UInt64.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let clips = (0..<1000).map { entry("clip \($0 * 7919 % 1000)") }
    let writer = try ClipIndexWriter(classes: ["x"], folder: folder.path)
    for clip in clips { try writer.add(clip) }
    let index = try writer.finish(at: folder.path + "/train.clips")
    #expect(try index == ClipIndex(classes: ["x"], clips: clips))
    #expect(try ClipIndex(mapping: folder.path + "/train.clips") == index)
    try index.export(to: folder.path + "/train.tsv")
    var lines = try LinesOfFile(folder.path + "/train.tsv")
    var fields: [[String]] = []
    while let (line, isWhole) = lines.next() {
      #expect(isWhole)
      fields.append(try #require(unescapedFields(line)))
    }
    #expect(fields.count == 1002 && fields[0] == ["tamring-index", "2"] && fields[1] == ["class", "x"])
    #expect(fields.dropFirst(2).map { $0[1] } == index.clips.map(\.id))
    #expect(
      fields[2] == [
        "clip", "clip 0", "a\tb/clip 0\n\\.mp4", "0", "1099511627776", "0000000000000001ffffffffffffffff", "24", "7",
        "8589934592", "key", "340", "256", "29.97", "h264",
      ])
    // Nothing else stays.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["train.clips", "train.tsv"])
    #expect(throws: DatasetError.self) { try ClipIndex(mapping: folder.path) }
    #expect(throws: DatasetError.self) { try ClipIndex(mapping: folder.path + "/none") }
    #expect(throws: DatasetError.self) { try ClipIndexWriter(classes: [], folder: folder.path + "/none") }
  }

  @Test("the rejected list comes back as it was, sorted, and counts its reasons by kind")
  func rejected() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("bad-\(UInt64.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.path + "/rejected.tsv"
    let list = [
      RejectedClip(id: "b", path: "", reason: "its label 'x' is none of the 12 classes"),
      RejectedClip(id: "a\t", path: "x\\y\n", reason: "moov\ngone"),
      RejectedClip(id: "c", path: "", reason: "its label 'don t' is none of the 7 classes"),
      RejectedClip(id: "c", path: "", reason: "its label 'don t' is none of the 7 classes"),
    ]
    let writer = try RejectedListWriter(folder: folder.path)
    for clip in list { try writer.add(clip) }
    let written = try writer.finish(at: path)
    let read = try RejectedList(path)
    #expect(written.count == 4 && read.count == 4)
    #expect(try read.prefix(9) == [list[1], list[0], list[2], list[3]])
    #expect(try read.prefix(1) == [list[1]])
    #expect(
      try read.reasons().sorted.map { "\($0.count) \($0.value)" }
        == ["3 its label '…' is none of the N classes", "1 moov\ngone"])
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for (bad, place) in [
      ("", ":1:"), (text + "a\tb\n", ":6:"), (text + "a\tb\tc", ":6:"), ("x" + text, ":1:"),
      (text.replacingOccurrences(of: "\\n", with: "\\q"), ":2:"),
    ] {
      try bad.write(toFile: path, atomically: true, encoding: .utf8)
      let error = #expect(throws: DatasetError.self) { try RejectedList(path) }
      #expect(error?.description.contains("rejected.tsv\(place)") == true, "\(String(describing: error))")
    }
  }
}
