// One clip of the demo's data: class, name and pictures are pure functions of seed, split and number.
import Shared

/// One of the demo's classes. They come in pairs: a clip of the second is drawn like one of the first, then played
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

/// The list that a clip belongs to.
enum DemoSplit: UInt32, CaseIterable {
  case train, validation

  var name: String { self == .train ? "train" : "validation" }
}

/// A picture in YUV 4:2:0, rows from the top, without padding.
struct DemoFrame: Equatable {
  var luma: [UInt8]
  var blue: [UInt8]
  var red: [UInt8]
}

/// The clip `number` of a split.
struct DemoClip {
  /// Pixels; even.
  static let size = 80
  static let frameCount = 24
  static let framesPerSecond = 12

  let split: DemoSplit
  let number: Int

  var kind: DemoClass { DemoClass.allCases[number % DemoClass.allCases.count] }

  /// Stands in for a YouTube id.
  var id: String { "\(split.name)-" + String(repeating: "0", count: 5 - min(5, digits.count)) + digits }
  private var digits: String { String(number) }

  /// Relative to the data folder.
  var folder: String { "\(split.name)/\(kind.label)" }
  var path: String { "\(folder)/\(id)_000000_00000\(DemoClip.frameCount / DemoClip.framesPerSecond).mp4" }

  /// The clip's row in the Kinetics CSV.
  var row: String {
    "\"\(kind.label)\",\(id),0,\(DemoClip.frameCount / DemoClip.framesPerSecond),\(split.name),0"
  }

  /// The clip's pictures, in order.
  func frames(seed: UInt64) -> [DemoFrame] {
    var random = Philox(seed: seed, .demoData, split.rawValue, UInt32(number))
    let scene = DemoScene(of: kind, from: &random)
    let frames = (0..<DemoClip.frameCount).map { scene.frame($0, from: &random) }
    return kind.isReversed ? frames.reversed() : frames
  }
}
