// One clip of the set `motion`: class and pictures are pure functions of seed, split and number.
import Shared

/// One of the classes of `motion`. They come in pairs: a clip of the second is drawn like one of the first, then played
/// backwards, so that they differ only in the order of the frames.
enum DemoClass: Int, CaseIterable {
  case movingRight, movingLeft, growing, shrinking, opening, closing

  var label: String {
    switch self {
    case .movingRight: "moving right"
    case .movingLeft: "moving left"
    case .growing: "growing shape"
    case .shrinking: "shrinking shape"
    case .opening: "opening doors"
    case .closing: "closing doors"
    }
  }

  var isReversed: Bool { rawValue % 2 == 1 }
}

/// The clip `number` of a split.
struct DemoClip: DrawnClip {
  static let size = 80
  static let frameCount = 24
  static let framesPerSecond = 12

  let split: DemoSplit
  let number: Int

  var kind: DemoClass { DemoClass.allCases[number % DemoClass.allCases.count] }
  var label: String { kind.label }

  func frames(seed: UInt64) -> [DemoFrame] {
    var random = Philox(seed: seed, .demoData, split.rawValue, UInt32(number))
    let scene = DemoScene(of: kind, from: &random)
    let frames = (0..<DemoClip.frameCount).map { scene.frame($0, from: &random) }
    return kind.isReversed ? frames.reversed() : frames
  }
}
