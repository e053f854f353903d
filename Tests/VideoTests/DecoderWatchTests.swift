// When a decoder counts as hanging, and what crosses between two processes: without any process.
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct DecoderWatchTests {
  /// What is seen in `seconds`, four times a second.
  /// - Returns: when the watch finds a hang, and how it hangs.
  private func hang(
    _ watch: DecoderWatch, within seconds: Double, _ sample: (Double) -> DecoderWatch.Sample
  ) -> (Double, String)? {
    var watch = watch
    for step in 0...Int(seconds * 4) {
      let time = Double(step) / 4
      if let how = watch.hang(sample(time), after: 0.25) { return (time, how) }
    }
    return nil
  }

  private func sample(
    _ progress: Double, _ processor: Double, awaitsDisk: Bool = false, isRunnable: Bool = true
  ) -> DecoderWatch.Sample {
    DecoderWatch.Sample(
      progress: UInt64(progress), processor: processor, awaitsDisk: awaitsDisk, isRunnable: isRunnable)
  }

  private let watch = DecoderWatch(silence: 20, budget: 100)

  @Test("a decoder that goes on, waits for a disk, or gets no processor does not hang")
  func patience() {
    #expect(hang(watch, within: 100) { sample($0, $0) } == nil)
    #expect(hang(watch, within: 10_000) { sample(5, min($0, 1), awaitsDisk: true) } == nil)
    // A hundredth of a busy processor, which it wants.
    #expect(hang(watch, within: 900) { sample(5, $0 / 100) } == nil)
  }

  @Test("a decoder that computes on one packet hangs, and so does one that does nothing")
  func hangs() throws {
    let looping = try #require(hang(watch, within: 100) { sample(5, $0) })
    #expect(looping.0 == 20 && looping.1 == "it computed for 20 s on one packet")
    let stopped = try #require(hang(watch, within: 100) { sample(5, min($0, 3), isRunnable: $0 < 3) })
    #expect(stopped.0 > 20 && stopped.1.hasPrefix("it did nothing for 2"), "\(stopped)")
    // A third of a processor is enough to tell, later.
    #expect(try #require(hang(watch, within: 100) { sample(5, $0 / 3) }).0 >= 30)
  }

  @Test("one that goes on for ever is ended behind the recipe's limit")
  func budget() throws {
    let endless = try #require(hang(watch, within: 1000) { sample($0, $0) })
    #expect(endless.0 > 110 && endless.0 < 140, "\(endless)")
  }

  @Test("time in which this process was stopped itself says nothing")
  func stoppedItself() {
    var watch = watch
    #expect(watch.hang(sample(5, 1, isRunnable: false), after: 0.25) == nil)
    #expect(watch.hang(sample(5, 1, isRunnable: false), after: 86_400) == nil)
  }

  @Test("what is asked and answered crosses whole, and what is cut short is nonsense")
  func messages() throws {
    let request = ClipRequest(
      path: "/a b/ü.mp4", range: 7..<900, first: 3, frames: 40, isProved: true,
      head: FileHead(container: "mov,mp4", delay: 2), clip: 12,
      expectedBytes: 77, expectedHash: Digest128(high: 1, low: .max))
    let form = ClipForm(
      frames: 8, size: 15, sampling: .dense(stride: 4), framesPerGroup: 2, training: true, flip: false,
      shuffleFrames: true, seed: .max, scales: [1, 0.5], cropArea: 0.25,
      pixels: PixelRule(colour: 0.5, hue: 0.125, erasing: 0.75), scaleUp: false,
      view: ClipView(clip: 1, clips: 2, crop: 3, crops: 5))
    let job = ClipJob(request: request, form: form, epoch: 9, checks: true, total: 55)
    let rules = VideoRules(
      pixels: 5, packets: 6, bytes: 7, seconds: 8.5, acceptsTruncated: true,
      imageNames: ImageNameTemplate("ü_{:05d}.jpg"))
    #expect(rules.imageNames != nil)
    // A field that is added must cross too.
    #expect(Mirror(reflecting: request).children.count == 9)
    #expect(Mirror(reflecting: form).children.count == 13)
    #expect(Mirror(reflecting: rules).children.count == 6)
    let memory = MemorySegment.Name(door: 1, bytes: 3, nonce: .max)
    for work in [
      DecodingRequest.Work.load(job, memory, offset: 64), .probe(path: "x", range: nil, deep: true),
      .pictures(path: "y", range: 1..<2, isProved: true, first: 1, frames: 2, count: 3, height: 4),
    ] {
      let asked = DecodingRequest(work: work, rules: rules, dropped: [1, .max])
      #expect(try DecodingRequest(asked.bytes) == asked)
      for count in asked.bytes.indices {
        #expect(throws: DecoderEnd.nonsense) { try DecodingRequest(Array(asked.bytes[..<count])) }
      }
    }
    let clip = ProbedClip(
      frames: 1, width: 2, height: 3, duration: 4, frameRate: 5, codec: "h264", bytes: 6,
      hash: Digest128(high: 7, low: 8), isProved: false,
      head: FileHead(container: "avi", delay: 0), doubt: "why", times: [0, 0.5, .infinity],
      imageNumbers: [-1, 9])
    #expect(Mirror(reflecting: clip).children.count == 13)
    let error = VideoError(
      path: "p", operation: "o", cause: "c", clip: 3, status: .ioError, errorNumber: EIO)
    #expect(Mirror(reflecting: error).children.count == 6)
    for answer in [DecodingAnswer.probed(clip), .failed(error), .loaded(total: 4), .loaded(total: nil), .noMemory] {
      let read = try DecodingAnswer(answer.bytes)
      #expect("\(read)" == "\(answer)")
      for count in answer.bytes.indices {
        #expect(throws: DecoderEnd.nonsense) { try DecodingAnswer(Array(answer.bytes[..<count])) }
      }
    }
    if case .failed(let read) = try DecodingAnswer(DecodingAnswer.failed(error).bytes) { #expect(read == error) }
    #expect(throws: DecoderEnd.nonsense) { try DecodingAnswer([UInt8](repeating: 0xff, count: 64)) }
    #expect(throws: DecoderEnd.nonsense) { try DecodingAnswer([3] + [UInt8](repeating: 0, count: 15) + [255]) }
  }
}
