// What becomes of real files. Skipped where they are missing.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

@Suite(.enabled(if: RealClips.arePresent, "\(RealClips.missing)"))
struct RealClipTests {
  private func form(_ frames: Int = 4, size: Int = 32, training: Bool = true) -> ClipForm {
    ClipForm(frames: frames, size: size, training: training, seed: 11)
  }

  private func load(_ name: String, _ form: ClipForm, epoch: Int = 0, loader: ClipLoader = ClipLoader()) throws
    -> [Float]
  {
    let storage = FloatStorage(count: form.clipElements)
    let request = ClipRequest(
      path: RealClips.path(name), clip: 3, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
    try loader.load(request, form, epoch: epoch, into: storage)
    return storage.array
  }

  private func digest(_ name: String) throws -> Digest128 {
    Digest128(of: try load(name, form(8, size: 56)).withUnsafeBytes { Data($0) })
  }

  @Test(
    "every frame that is tried is that of decoding everything, or the file is refused",
    arguments: RealClips.names + RealClips.cases)
  func exactness(name: String) throws {
    let path = RealClips.path(name)
    for deep in [false, true] {
      guard let clip = try? ClipProbe.probe(path, deep: deep) else { continue }
      let truth = try #require(ReferenceDecoder.digests(path))
      #expect(clip.frames == truth.count)
      // Big pictures take long: fewer tries.
      try expectExact(path, clip, truth, tries: clip.width > 500 && !clip.isProved ? 3 : 12)
    }
  }

  @Test("what gave wrong frames silently is right now, or refused with a true reason")
  func cases() throws {
    for (name, reason) in [
      ("half_milk.mkv", "truncated"), ("flip_tc_h265_video.mp4", "the decoder reports"),
      ("opencv_box.mp4", "A non-intra slice in an IDR NAL unit"),
    ] {
      let error = #expect(throws: VideoError.self) {
        try ClipProbe.probe(RealClips.path("../cases/clips/" + name), deep: true)
      }
      #expect(error?.cause.contains(reason) == true, "\(name): \(error?.cause ?? "")")
    }
    for name in [
      "mpeg4_nostss.mp4", "opencv_box.mp4", "raw_pal8_50.avi", "san_MOV00006.3gp.mkv", "stsd_chroma_200.mp4",
    ] {
      let clip = try ClipProbe.probe(RealClips.path("../cases/clips/" + name), deep: false)
      #expect(!clip.isProved && clip.doubt != nil, "\(name)")
    }
  }

  @Test("every file is either loaded or refused with a reason that names it", arguments: RealClips.names)
  func everyFile(name: String) throws {
    do {
      let clip = try ClipProbe.probe(RealClips.path(name), deep: false)
      #expect(clip.frames > 0 && clip.width > 0 && clip.height > 0 && clip.bytes > 0)
      let numbers = try load(name, form())
      // No normalised value is beyond these.
      #expect(numbers.allSatisfy { $0 > -2.2 && $0 < 2.7 })
    } catch let error as VideoError {
      #expect(error.description.contains(name) && !error.cause.isEmpty)
    }
  }

  @Test("these files are refused, each for its own reason")
  func refused() {
    for (name, reason) in [
      ("broken/zero_byte.mp4", "zero bytes"), ("broken/truncated_no_moov.mp4", "moov"), ("broken/random_9k.mp4", ""),
      ("absent.mp4", "no such file"), ("broken", "no jpg or png images"),
    ] {
      let error = #expect(throws: VideoError.self) { try ClipProbe.probe(RealClips.path(name), deep: false) }
      #expect(error?.cause.contains(reason) == true || reason.isEmpty)
    }
  }

  @Test("a deep probe finds damage that a shallow one does not see")
  func damage() throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: RealClips.path("kinetics400/R6llTwEh07w.mp4")))
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).mp4").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    for offset in stride(from: 100_000, to: 300_000, by: 2000) { bytes[offset] ^= 0x55 }
    try bytes.write(to: URL(fileURLWithPath: path))
    #expect(throws: VideoError.self) { try ClipProbe.probe(path, deep: true) }
  }

  @Test("equal bytes twice, on threads, and without the processor's vector instructions")
  func reproducible() async throws {
    let names = [
      "kinetics400/R6llTwEh07w.mp4", "broken/odd_171x127.mp4", "broken/rotate90.mp4", "odd/tc_h265_10bits.mp4",
      "misc/mmaction2_test.avi", "odd/tc_bt601_full_range.mp4", "broken/ssv2_like_12fps.webm", "misc/opencv_tree.avi",
    ]
    let first = try names.map { try digest($0) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (name, digest) in zip(names, first) {
        group.addTask {
          let again = try self.digest(name)
          #expect(again == digest)
        }
      }
      try await group.waitForAll()
    }
    // Other tests that run meanwhile see the same numbers: that is the claim.
    av_force_cpu_flags(0)
    defer { av_force_cpu_flags(-1) }
    for (name, digest) in zip(names, first) {
      let again = try self.digest(name)
      #expect(again == digest, "\(name)")
    }
  }

  @Test("a turned file shows what the upright one shows, turned")
  func rotation() throws {
    let turned = try VideoFile(path: RealClips.path("broken/rotate90.mp4"))
    let upright = try VideoFile(path: RealClips.path("kinetics400/R6llTwEh07w.mp4"))
    #expect([turned.rotation, upright.rotation].sorted() != [0, 0])
    #expect(turned.width == upright.height && turned.height == upright.width)
    // 28 of 32, and of 42: even margins, so that the middle is the same from either side.
    let size = 28
    let a = try load("broken/rotate90.mp4", form(1, size: size, training: false))
    let b = try load("kinetics400/R6llTwEh07w.mp4", form(1, size: size, training: false))
    let isClockwise = turned.rotation == 90
    var same = 0
    for y in 0..<size {
      for x in 0..<size {
        let (v, u) = isClockwise ? (size - 1 - x, y) : (x, size - 1 - y)
        if abs(a[(y * size + x) * 3] - b[(v * size + u) * 3]) < 0.1 { same += 1 }
      }
    }
    #expect(same > size * size * 95 / 100)
  }

  @Test("a mirrored clip is the plain one, mirrored")
  func flip() throws {
    let size = 16
    let plan = CropPlan(rect: PixelRect(x: 10, y: 20, width: 200, height: 180), flip: false)
    let video = try VideoFile(path: RealClips.path("kinetics400/R6llTwEh07w.mp4"))
    let converter = FrameConverter(size: size, path: video.path)
    let (plain, mirrored) = (FloatStorage(count: size * size * 3), FloatStorage(count: size * size * 3))
    try video.decode([7]) { _, frame in
      try converter.write(frame, plan, Orientation(), to: plain.buffer)
      try converter.write(frame, CropPlan(rect: plan.rect, flip: true), Orientation(), to: mirrored.buffer)
    }
    for i in 0..<size * size * 3 {
      #expect(plain[i] == mirrored[i / (size * 3) * size * 3 + (size - 1 - i / 3 % size) * 3 + i % 3])
    }
  }

  @Test("a file that changed since it was indexed is refused, once it is the same it is taken")
  func changed() throws {
    let path = RealClips.path("asl_gestures/bird.mkv")
    let known = try ClipProbe.probe(path, deep: true)
    let storage = FloatStorage(count: form().clipElements)
    var request = ClipRequest(
      path: path, clip: 1, expectedBytes: known.bytes, expectedHash: Digest128(high: 1, low: 2))
    let loader = ClipLoader()
    let error = #expect(throws: VideoError.self) {
      try loader.load(request, form(), epoch: 0, into: storage)
    }
    #expect(error?.clip == 1 && error?.cause.contains("changed since it was indexed") == true)
    request.expectedHash = known.hash
    try loader.load(request, form(), epoch: 0, into: storage)
  }

  @Test("the prefetcher gives what the loader gives, and names the clip that fails")
  func prefetch() throws {
    let names = ["asl_gestures/bird.mkv", "broken/ssv2_like_12fps.webm", "broken/odd_171x127.mp4"]
    let prefetcher = Prefetcher(threads: 2, capacity: 2)
    defer { prefetcher.stop() }
    let form = form(2, size: 24)
    func job(_ names: [String], _ epoch: Int) -> LaneJob {
      let clips = names.map {
        ClipRequest(
          path: RealClips.path($0), clip: 3, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
      }
      return LaneJob(clips: clips, form: form, epoch: epoch)
    }
    for step in 0..<4 { prefetcher.request(LaneKey(step: step, lane: 0), job(names, step)) }
    prefetcher.request(LaneKey(step: 9, lane: 0), job([names[0], "broken/zero_byte.mp4"], 0))
    // The last first: it must not wait for the others to be taken.
    for step in [3, 0, 1, 2] {
      let batch = try #require(try prefetcher.take(LaneKey(step: step, lane: 0)))
      let expected = try names.flatMap { try load($0, form, epoch: step) }
      #expect(batch.storage.array(0..<expected.count) == expected)
      #expect(batch.clips == [3, 3, 3])
      prefetcher.recycle(batch)
    }
    let error = #expect(throws: VideoError.self) { try prefetcher.take(LaneKey(step: 9, lane: 0)) }
    #expect(error?.clip == 3 && error?.path.hasSuffix("zero_byte.mp4") == true)
    #expect(try prefetcher.take(LaneKey(step: 77, lane: 0)) == nil)
  }

  @Test("what became of each file, as a table", .enabled(if: RealClips.table != nil, "TAMRING_CLIPS_TABLE is not set"))
  func table() throws {
    var lines = ["| file | codec | frames | found by | with deep |", "| --- | --- | --- | --- | --- |"]
    for name in RealClips.names + RealClips.cases {
      func outcome(_ deep: Bool) -> (codec: String, frames: String, way: String) {
        do {
          let clip = try ClipProbe.probe(RealClips.path(name), deep: deep)
          return (clip.codec, "\(clip.frames)", clip.isProved ? "key frames" : "the beginning: \(clip.doubt ?? "")")
        } catch let error as VideoError {
          return ("-", "-", "refused: cannot \(error.operation): \(error.cause)")
        } catch { return ("-", "-", "\(error)") }
      }
      let (shallow, deep) = (outcome(false), outcome(true))
      lines.append(
        "| \(name) | \(shallow.codec) | \(shallow.frames) | \(shallow.way) | \(shallow == deep ? "the same" : deep.way) |"
      )
    }
    try (lines.joined(separator: "\n") + "\n").write(toFile: RealClips.table ?? "", atomically: true, encoding: .utf8)
  }
}

extension RealClips {
  static let table = ProcessInfo.processInfo.environment["TAMRING_CLIPS_TABLE"]
}
