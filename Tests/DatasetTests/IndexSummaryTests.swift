import Shared
import Testing

@testable import Dataset

@Suite struct IndexSummaryTests {
  private func clip(_ id: String, label: Int = 0, hash: UInt64 = 0, first: Int = 0, frames: Int = 50) -> ClipEntry {
    ClipEntry(
      id: id, path: "\(id).mp4", labels: [label], bytes: 9, hash: Digest128(high: 1, low: hash), first: first,
      frames: frames, isProved: first == 0, width: 340, height: 256, frameRate: 25, codec: "h264")
  }

  @Test("a summary counts what is in an index, and names classes with too few clips")
  func summary() throws {
    var clips = (0..<300).map { clip("a\($0)", label: $0 % 2) } + (0..<14).map { clip("b\($0)", label: 2) }
    clips += (0..<15).map { clip("c\($0)", label: 3) }
    clips[0].frameRate = 0
    clips[1].codec = ""
    clips[2].width = 0
    clips[3].frames = 500
    clips[4].first = 3
    let summary = IndexSummary(of: try ClipIndex(classes: ["a", "b", "c", "d", "e"], clips: clips))
    #expect(summary.clips == 329 && summary.untimed == 1 && summary.parts == 1 && summary.fromStart == 0)
    #expect(summary.seconds == Double(327 * 2 + 20))
    #expect(summary.classes == [150, 150, 14, 15, 0] && summary.fewestFrames == 50 && summary.mostFrames == 500)
    #expect(summary.sizes.sorted.map(\.value) == ["340x256", "unknown"])
    #expect(summary.rates.sorted.map(\.count) == [328, 1] && summary.codecs.count == 2)
    // A tenth of the class in the middle is 1: ten are wanted.
    #expect(summary.tooFew == 10 && summary.smallClasses == [4])
  }

  @Test("a class with less than a tenth of the clips of the class in the middle has too few")
  func smallClasses() throws {
    let clips = (0..<900).map { clip("a\($0)", label: $0 % 3) } + (0..<29).map { clip("b\($0)", label: 3) }
    let summary = IndexSummary(of: try ClipIndex(classes: ["a", "b", "c", "d"], clips: clips))
    #expect(summary.tooFew == 30 && summary.smallClasses == [3])
  }

  @Test("the same content in training and validation is named; other parts of a file are counted apart")
  func leaks() throws {
    let training = try ClipIndex(
      classes: ["a"],
      clips: [clip("t1", hash: 1), clip("t2", hash: 2), clip("t3", hash: 3, first: 10, frames: 5), clip("t4", hash: 4)])
    let validation = try ClipIndex(
      classes: ["a"],
      clips: [
        clip("v1", hash: 9), clip("v2", hash: 2), clip("v3", hash: 3, frames: 10), clip("v4", hash: 4, first: 49),
        clip("v5", hash: 2),
      ])
    let leaks = ContentLeaks(training: training, validation: validation)
    #expect(leaks.count == 3 && leaks.sharedFiles == 1)
    #expect(leaks.first.map { "\($0.training) \($0.validation)" } == ["t2 v2", "t4 v4", "t2 v5"])
    let none = try ClipIndex(classes: ["a"], clips: [])
    #expect(ContentLeaks(training: none, validation: validation).count == 0)
    #expect(ContentLeaks(training: training, validation: none).count == 0)
  }
}
