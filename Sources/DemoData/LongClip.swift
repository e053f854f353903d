// One clip of the set `long`: class, events and pictures are pure functions of seed, split and number.
import Shared

/// What the disc of a scene does for half a second, after which it is as it was before. Played backwards it looks the
/// same.
enum LongEvent: String, CaseIterable {
  case flash, hop, swell
}

/// A class: the events in their order, and for two events the time between them.
struct LongClass {
  let events: [LongEvent]
  let isFar: Bool

  /// The classes with the same events are a group: no frame, and no collection of frames without their order, tells
  /// them apart.
  static let all: [LongClass] = {
    let (a, b, c) = (LongEvent.flash, LongEvent.hop, LongEvent.swell)
    let pairs = [[a, b], [b, a], [a, c], [c, a], [b, c], [c, b]]
    let triples = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
    return pairs.flatMap { [LongClass(events: $0, isFar: false), LongClass(events: $0, isFar: true)] }
      + triples.map { LongClass(events: $0, isFar: false) }
  }()

  var label: String {
    let names = events.map(\.rawValue)
    return names.count == 3
      ? names.joined(separator: " ") : "\(names[0]) then \(names[1]) \(isFar ? "late" : "soon")"
  }
}

/// The clip `number` of a split.
struct LongClip: DrawnClip {
  static let size = 80
  static let frameCount = 96
  static let framesPerSecond = 24

  let split: DemoSplit
  let number: Int

  var kind: LongClass { LongClass.all[number % LongClass.all.count] }
  var label: String { kind.label }

  func frames(seed: UInt64) -> [DemoFrame] {
    // The upper half of the word tells the sets apart.
    var random = Philox(seed: seed, .demoData, 1 << 16 | split.rawValue, UInt32(number))
    let scene = LongScene(of: kind, from: &random)
    return (0..<LongClip.frameCount).map { scene.frame($0, from: &random) }
  }
}
