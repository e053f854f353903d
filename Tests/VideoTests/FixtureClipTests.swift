// Three small clips that every clone has, of the demo's own pictures (Tests/Fixtures/README.md); RealClipTests reads
// real ones, where ../shared is present.
import Foundation
import Shared
import Testing

@testable import DemoData
@testable import Video

@Suite struct FixtureClipTests {
  private static let names = ["h264.mp4", "mpeg4.mp4", "vp9.mp4"]

  private func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/clips/\(name)").path
  }

  /// The pictures that were encoded.
  private let pictures = DemoClip(split: .train, number: 0).frames(seed: 1)

  @Test("every frame is there, in order, and looks like the picture that was encoded", arguments: names)
  func frames(name: String) throws {
    let video = try VideoFile(path: path(name))
    #expect(try video.frameCount() == DemoClip.frameCount)
    #expect(video.width == DemoClip.size && video.height == DemoClip.size && video.rotation == 0)
    var decoded = 0
    _ = try video.decodeEveryFrame { position, frame in
      decoded += 1
      var difference = 0
      for row in 0..<DemoClip.size {
        let line = frame.pointer.pointee.data.0?.advanced(by: row * Int(frame.pointer.pointee.linesize.0))
        for column in 0..<DemoClip.size {
          difference += abs(Int(line?[column] ?? 0) - Int(pictures[position].luma[row * DemoClip.size + column]))
        }
      }
      #expect(Double(difference) / Double(DemoClip.size * DemoClip.size) < 6, "frame \(position)")
    }
    #expect(decoded == DemoClip.frameCount)
  }

  @Test("chosen frames equal those of decoding everything and counting, byte for byte", arguments: names)
  func exactness(name: String) throws {
    var truth: [Digest128] = []
    _ = try VideoFile(path: path(name)).decodeEveryFrame { truth.append($1.digest()) }
    #expect(Set(truth).count > DemoClip.frameCount / 2)
    let clip = try ClipProbe.probe(path(name), deep: false)
    #expect(clip.isProved, "\(clip.doubt ?? "")")
    try expectExact(path(name), clip, truth)
  }

  @Test(
    "the numbers of a clip are what they were when this test was written, on any CPU",
    arguments: zip(
      names,
      [
        "ca9bb46939471ac10aa08764634fa13d", "4c68473349417e0c76289d6bf54e9cb8", "ae0c73a7fbcff69c1f166b46ff8ead4d",
      ]))
  func numbers(name: String, expected: String) throws {
    let form = ClipForm(frames: 8, size: 56, training: true, seed: 11)
    let storage = FloatStorage(count: form.clipElements)
    let request = ClipRequest(
      path: path(name), clip: 3, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
    try ClipLoader().load(request, form, epoch: 0, into: storage)
    #expect(Digest128(of: storage.array.withUnsafeBytes { Data($0) }).description == expected)
  }

  @Test("a clip that is cut off is refused", arguments: names)
  func cutOff(name: String) throws {
    let whole = try Data(contentsOf: URL(fileURLWithPath: path(name)))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).mp4")
    defer { try? FileManager.default.removeItem(at: file) }
    // The MP4's index stands at its end.
    for bytes in [Data(), whole.prefix(100), whole.prefix(whole.count / 2), whole.dropLast(200)] {
      try Data(bytes).write(to: file)
      #expect(throws: VideoError.self, "\(bytes.count) of \(whole.count) bytes") {
        try ClipProbe.probe(file.path, deep: true)
      }
    }
  }
}
