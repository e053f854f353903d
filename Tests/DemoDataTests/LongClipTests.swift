import Shared
import Testing

@testable import DemoData

@Suite struct LongClipTests {
  private func scene(_ kind: LongClass, _ number: UInt32 = 0) -> LongScene {
    var random = Philox(seed: 3, .demoData, 7, number)
    return LongScene(of: kind, from: &random)
  }

  @Test("there are six classes of three events and twelve of two, each with a name of its own")
  func classes() {
    #expect(LongClass.all.count == 18 && Set(DemoSet.long.classes).count == 18)
    #expect(LongClass.all.count { $0.events.count == 3 } == 6)
  }

  @Test("events come in the class's order, lie inside the clip, and only the time between them tells soon from late")
  func times() {
    for (index, kind) in LongClass.all.enumerated() {
      for number in 0..<50 {
        let events = scene(kind, UInt32(100 * index + number)).events
        #expect(events.map(\.event) == kind.events)
        #expect(events[0].start >= 0 && events.last!.start + LongScene.duration <= LongClip.frameCount)
        for (one, next) in zip(events, events.dropFirst()) {
          let pause = next.start - one.start - LongScene.duration
          #expect((kind.events.count == 3 ? 6...18 : kind.isFar ? 36...48 : 2...8).contains(pause))
        }
      }
    }
  }

  @Test("a frame of an event looks the same whichever class it belongs to")
  func sameFrames() {
    // With the same draws, "flash then hop" and "hop then flash" differ in when things happen and nowhere else.
    let (one, other) = (scene(LongClass.all[0]), scene(LongClass.all[2]))
    #expect(one.events.map(\.start) == other.events.map(\.start))
    var (a, b) = (Philox(seed: 1, .demoData, 9, 9), Philox(seed: 1, .demoData, 9, 9))
    let rest = (0..<LongClip.frameCount).first { frame in
      one.events.allSatisfy { !($0.start..<$0.start + LongScene.duration).contains(frame) }
    }
    let isSameAtRest = one.frame(rest!, from: &a) == other.frame(rest!, from: &b)
    #expect(isSameAtRest)
    (a, b) = (Philox(seed: 1, .demoData, 9, 9), Philox(seed: 1, .demoData, 9, 9))
    let middle = one.events[0].start + LongScene.duration / 2
    let isSameInAnEvent = one.frame(middle, from: &a) == other.frame(middle, from: &b)
    #expect(!isSameInAnEvent)
  }

  @Test("the pictures are what they were when this test was written, on any CPU")
  func pictures() {
    let stream = Digest128Stream()
    for number in [0, 7, 17] {
      for frame in LongClip(split: .validation, number: number).frames(seed: 1) {
        stream.update(frame.luma)
        stream.update(frame.blue)
        stream.update(frame.red)
      }
    }
    #expect(stream.finish().description == "8e3a3c4c913ef3dfab9710eade5a97d9")
  }
}
