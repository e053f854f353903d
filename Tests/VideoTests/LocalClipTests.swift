// Clips whose file is fetched before it is read.
import Foundation
import Shared
import Synchronization
import Testing

@testable import Video

@Suite struct LocalClipTests {
  @Test("a file that was fetched again is compared with the index again, and other bytes are rejected, never decoded")
  func fetchedAgain() throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/clips")
    let (right, wrong) = (fixtures.appendingPathComponent("h264.mp4"), fixtures.appendingPathComponent("vp9.mp4"))
    let data = try Data(contentsOf: right)
    let form = ClipForm(frames: 8, size: 56, training: true, seed: 11)
    let output = FloatStorage(count: form.clipElements)
    let request = ClipRequest(
      path: "https://h/a.tar", clip: 3, expectedBytes: UInt64(data.count),
      expectedHash: Digest128(of: data))
    let fetched = Mutex<(path: String, identity: String?)>(("", nil))
    let rejected = Atomic<Int>(0)
    let loader = ClipLoader { request, _ in
      let (path, identity) = fetched.withLock { $0 }
      return LocalClip(path: path, range: nil, shown: request.path, identity: identity, hold: 0) {
        rejected.add(1, ordering: .relaxed)
      }
    }
    for identity in ["first", nil] {
      fetched.withLock { $0 = (right.path, identity) }
      try loader.load(request, form, epoch: 0, into: output)
      fetched.withLock { $0 = (wrong.path, identity.map { $0 + " again" }) }
      let before = rejected.load(ordering: .relaxed)
      let error = #expect(throws: VideoError.self) { try loader.load(request, form, epoch: 0, into: output) }
      #expect(error?.cause.hasPrefix("changed since it was indexed") == true && error?.path == "https://h/a.tar")
      #expect(error?.clip == 3 && rejected.load(ordering: .relaxed) == before + 1)
    }
  }

  @Test("a checked file that is replaced or written to is checked again, by a loader that knew it")
  func replaced() throws {
    let whole = try ClipMaker(frames: 20).make()
    try withFile(whole) { path in
      let clip = try ClipProbe.probe(path, deep: false)
      let form = ClipForm(frames: 4, size: 32, training: true, seed: 1)
      let request = ClipRequest(
        path: path, frames: 20, isProved: clip.isProved, clip: 1, expectedBytes: clip.bytes,
        expectedHash: clip.hash)
      let (loader, output) = (ClipLoader(), FloatStorage(count: form.clipElements))
      for _ in 0..<2 { try loader.load(request, form, epoch: 0, into: output) }
      // The same size.
      var changed = whole
      changed[changed.count - 40] ^= 1
      for options in [Data.WritingOptions.atomic, []] {
        try changed.write(to: URL(fileURLWithPath: path), options: options)
        let error = #expect(throws: VideoError.self) { try loader.load(request, form, epoch: 0, into: output) }
        #expect(error?.cause.hasPrefix("changed since it was indexed") == true)
        try whole.write(to: URL(fileURLWithPath: path), options: options)
        try loader.load(request, form, epoch: 0, into: output)
      }
    }
  }
}
