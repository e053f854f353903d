import Foundation
import Shared
import Testing

@testable import DemoData
@testable import Video

/// What a coordinator tells a hang by: a lane, or a clip, that takes long must not look as if it hung.
@Suite(.timeLimit(.minutes(1))) struct DecodeProgressTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tamring-\(UUID().uuidString)")

  /// Writes demo clips of 24 frames each, and calls `body` with their requests.
  private func withClips(_ count: Int, _ body: ([ClipRequest]) throws -> Void) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let requests = try (0..<count).map { number in
      let bytes = try DemoEncoder().encode(
        DemoClip(split: .train, number: number).frames(seed: 1), size: DemoClip.size, framesPerSecond: 12)
      let file = folder.appendingPathComponent("\(number).mp4")
      try bytes.write(to: file)
      let hash = try ClipFile(path: file.path).hash()
      return ClipRequest(
        path: file.path, isProved: true, clip: number, expectedBytes: UInt64(bytes.count), expectedHash: hash)
    }
    try body(requests)
  }

  @Test("each clip of a lane counts, not the lane alone")
  func lane() throws {
    try withClips(3) { requests in
      let prefetcher = Prefetcher(threads: 1, capacity: 1)
      defer { prefetcher.stop() }
      #expect(prefetcher.progress == 0)
      let key = LaneKey(step: 0, lane: 0)
      prefetcher.request(
        key, LaneJob(clips: requests, form: ClipForm(frames: 2, size: 16, training: true, seed: 1), epoch: 0))
      let batch = try prefetcher.take(key)
      #expect(batch?.clips == [0, 1, 2])
      // A clip is hashed, its 24 packets are read, some are decoded, and it is complete.
      #expect(prefetcher.progress >= 3 * (1 + 24 + 2 + 1))
    }
  }

  @Test("the count grows while a single clip is read and decoded")
  func clip() throws {
    try withClips(1) { requests in
      let progress = DecodeProgress()
      let video = try VideoFile(path: requests[0].path, progress: progress)
      let opened = progress.count
      #expect(opened >= 24)
      var counts: [UInt64] = []
      let frames = try video.decodeEveryFrame { _, _ in counts.append(progress.count) }
      #expect(frames == 24)
      #expect(counts.first.map { $0 > opened } == true)
      #expect(Set(counts).count >= 12, "\(counts)")
    }
  }
}
