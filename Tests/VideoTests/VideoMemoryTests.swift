// A decoder that gets no memory: the clip is to blame only where the process has some.
import CFFmpeg
import Foundation
import Glibc
import Shared
import Testing

@testable import Video

@Suite struct VideoMemoryTests {
  static func open() throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/clips/h264.mp4").path
    _ = try VideoFile(path: path).decodeEveryFrame { _, _ in }
  }

  @Test("a process without memory ends, and says so")
  func noMemory() async throws {
    let ended = try await #require(processExitsWith: .exitCode(69), observing: [\.standardErrorContent]) {
      av_max_alloc(100_000)
      let pages = Int(try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[0]) ?? 0
      // Enough for everything but what only a clip's pictures need.
      let most = rlim_t(pages * 4096 + 32 << 20)
      var limit = rlimit(rlim_cur: most, rlim_max: most)
      setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
      try Self.open()
    }
    let text = String(decoding: ended.standardErrorContent, as: UTF8.self)
    #expect(text.contains(": no memory for 67108864 bytes: use fewer threads"), "\(text)")
  }

  @Test("a clip that asks for more than there can be is a bad clip, where the process has memory")
  func greedyClip() async {
    await #expect(processExitsWith: .success) {
      av_max_alloc(100_000)
      let error = #expect(throws: VideoError.self) { try Self.open() }
      #expect(error?.cause == "Cannot allocate memory")
    }
  }
}
