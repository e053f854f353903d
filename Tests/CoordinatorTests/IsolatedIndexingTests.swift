// Indexing with decoders that are killed.
import Foundation
import Glibc
import Recipes
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Coordinator
@testable import DemoData
@testable import Video

@Suite(.timeLimit(.minutes(1))) struct IsolatedIndexingTests {
  @Test("a decoder that crashes while files are probed costs a second try; one that always does, its file")
  func crashes() throws {
    let folder = try TemporaryFolder()
    for name in ["videos", "index"] {
      try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
    }
    let names = try (0..<4).map { number in
      let bytes = try DemoEncoder().encode(
        DemoClip(split: .train, number: number).frames(seed: 1), size: DemoClip.size, framesPerSecond: 12)
      try bytes.write(to: URL(fileURLWithPath: folder.path("videos/\(number).mp4")))
      return "\(number).mp4"
    }
    let program = RunningProcess.built("SeparateDecoder") ?? "SeparateDecoder"
    for (crashes, left) in [(1, 4), (2, 3)] {
      let crashes = Atomic<Int>(crashes)
      var settings = DecodingPool.Settings(command: [program])
      settings.started = { pid, _ in
        if crashes.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 { kill(pid, SIGSEGV) }
      }
      var builder = IndexBuilder(
        recipe: Recipe(), folder: try IndexFolder(folder.path("index-\(left)")), decoders: DecodingPool(settings)
      ) { _, _ in }
      builder.settings.threads = 1
      let (index, rejected) = try builder.index(
        IndexRows(names.map { IndexRow(id: $0, path: $0, labels: [0], part: .whole, range: nil) }), rejected: [],
        classes: ["a"],
        "train", videos: folder.path("videos")
      ) { _ in }
      #expect(index.clips.count == left)
      let reasons = try rejected.prefix(9).map(\.reason)
      #expect(reasons.count == 4 - left)
      #expect(reasons.allSatisfy { $0.contains("cannot decode: its decoder crashed (SIGSEGV), twice") }, "\(reasons)")
    }
  }
}
