import Foundation
import Shared
import Testing

@testable import Dataset

@Suite struct ClipIndexTests {
  private func entry(_ id: String, label: Int = 0) -> ClipEntry {
    ClipEntry(
      id: id, path: "a\tb/\(id)\n\\.mp4", label: label, bytes: 1 << 40, hash: Digest128(high: 1, low: .max), frames: 24)
  }

  @Test("encoding and decoding give the same index, whatever is in the names")
  func roundTrip() throws {
    let index = try ClipIndex(
      classes: ["left\r\n", "right, \"up\""], clips: [entry("b"), entry("-a é\r\n", label: 1)])
    let decoded = try ClipIndex(decoding: index.encoded())
    #expect(decoded == index)
    #expect(decoded.clips.map(\.id) == ["-a é\r\n", "b"])
    #expect(decoded.digest == index.digest)
  }

  @Test("the digest knows nothing of the order in which clips were found, and everything of what they are")
  func digest() throws {
    let clips = [entry("B"), entry("a"), entry("é")]
    let index = try ClipIndex(classes: ["x"], clips: clips)
    #expect(try ClipIndex(classes: ["x"], clips: clips.reversed()).digest == index.digest)
    #expect(index.clips.map(\.id) == ["B", "a", "é"])
    var other = clips
    other[1].hash.low -= 1
    #expect(try ClipIndex(classes: ["x"], clips: other).digest != index.digest)
    #expect(try ClipIndex(classes: ["y"], clips: clips).digest != index.digest)
  }

  @Test("an id that comes twice and a label of no class are refused")
  func refused() {
    #expect(throws: DatasetError.self) { try ClipIndex(classes: ["x"], clips: [entry("a"), entry("a")]) }
    #expect(throws: DatasetError.self) { try ClipIndex(classes: ["x"], clips: [entry("a", label: 1)]) }
  }

  @Test("damage is named with file and line")
  func damage() throws {
    let good = String(decoding: try ClipIndex(classes: ["x"], clips: [entry("a")]).encoded(), as: UTF8.self)
    for (text, place) in [
      ("", "clips.tsv:1:"), (String(good.dropLast()), "clips.tsv:1:"), ("hello\n" + good, "clips.tsv:1:"),
      (good + "clip\ta\n", "clips.tsv:4:"), (good + "what\n", "clips.tsv:4:"), (good + "class\ta\\x\n", "clips.tsv:4:"),
      (good.replacingOccurrences(of: "\t24", with: "\t-4"), "clips.tsv:3:"),
      (good.replacingOccurrences(of: "class\tx\n", with: ""), "clips.tsv: "),
    ] {
      let error = #expect(throws: DatasetError.self) {
        try ClipIndex(decoding: Data(text.utf8), name: "clips.tsv")
      }
      #expect(error?.description.hasPrefix(place) == true, "\(String(describing: error))")
    }
  }

  @Test("the rejected list comes back as it was, sorted")
  func rejected() throws {
    let list = [
      RejectedClip(id: "b", path: "", reason: "missing"), RejectedClip(id: "a\t", path: "x\\y\n", reason: "moov\ngone"),
    ]
    let data = RejectedClip.encoded(list)
    #expect(try RejectedClip.decoded(data) == list.reversed())
    #expect(RejectedClip.encoded(list.reversed()) == data)
    #expect(throws: DatasetError.self) { try RejectedClip.decoded(data + Data("a\tb\n".utf8)) }
  }
}
