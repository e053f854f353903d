// What happens in a clip of the demo, played forwards, and how it is painted. Integers only: lengths in sixteenths of a
// pixel, progress in 4096ths.
import Shared

/// A textured shape that moves right or grows, or two textured doors that open, in front of a textured background that
/// drifts in its own direction.
struct DemoScene {
  private enum Shape { case disc, square, diamond, ring }

  private enum Motion {
    /// Moves from `start` to `end`; the radius changes likewise.
    case shape(Shape, start: (x: Int, y: Int, radius: Int), end: (x: Int, y: Int, radius: Int))
    /// Doors on both sides of a line through `centre` with the given normal (16 long), and half the gap between them.
    case doors(centre: (x: Int, y: Int), normal: (x: Int, y: Int), start: Int, end: Int)
  }

  private let motion: Motion
  private let foreground: DemoTexture
  private let background: DemoTexture
  private let drift: (x: Int, y: Int)
  private let noise: Int
  /// Frames of rest before and after the motion.
  private let rest: (before: Int, after: Int)
  private let isEased: Bool

  /// The forward scene of `kind`'s pair.
  init(of kind: DemoClass, from random: inout Philox) {
    func length(_ pixels: ClosedRange<Int>) -> Int {
      16 * pixels.lowerBound + random.below(16 * pixels.count)
    }
    switch kind {
    case .movingRight, .movingLeft:
      let shape = DemoScene.shape(from: &random)
      let radius = length(9...15)
      let span = length(36...48)
      let x = length(8...10) + random.below(16 * 60 - span)
      let y = length(24...55)
      motion = .shape(shape, start: (x, y, radius), end: (x + span, y + length(-10...9), radius))
    case .growing, .shrinking:
      let shape = DemoScene.shape(from: &random)
      let (x, y) = (length(30...49), length(30...49))
      motion = .shape(
        shape, start: (x, y, length(5...8)), end: (x + length(-5...4), y + length(-5...4), length(24...33)))
    case .opening, .closing:
      let normals = [(16, 0), (0, 16), (14, 7), (14, -7), (7, 14), (-7, 14), (11, 11), (11, -11)]
      let normal = normals[random.below(normals.count)]
      motion = .doors(
        centre: (length(34...45), length(34...45)), normal: normal, start: length(0...2), end: length(20...30))
    }
    let isBright = random.below(2) == 1
    let dark = 56 + random.below(36)
    let bright = 148 + random.below(44)
    foreground = DemoTexture(brightness: isBright ? bright : dark, from: &random)
    background = DemoTexture(brightness: isBright ? dark : bright, from: &random)
    drift = (random.below(33) - 16, random.below(33) - 16)
    noise = random.below(9)
    rest = (random.below(4), random.below(4))
    isEased = random.below(2) == 1
  }

  private static func shape(from random: inout Philox) -> Shape {
    [.disc, .square, .diamond, .ring][random.below(4)]
  }

  private func progress(at frame: Int) -> Int {
    let moving = DemoClip.frameCount - 1 - rest.before - rest.after
    let linear = min(max((frame - rest.before) * 4096 / moving, 0), 4096)
    return isEased ? (linear * linear * (3 * 4096 - 2 * linear)) >> 24 : linear
  }

  /// Paints picture `frame`. `random` gives the noise.
  func frame(_ frame: Int, from random: inout Philox) -> DemoFrame {
    let size = DemoClip.size
    let progress = progress(at: frame)
    var luma = [UInt8](repeating: 0, count: size * size)
    var blue = [UInt8](repeating: 0, count: size * size / 4)
    var red = blue
    for row in 0..<size {
      var word: UInt32 = 0
      for column in 0..<size {
        if column % 4 == 0 { word = random.nextWord() }
        let colour = colour(16 * column, 16 * row, frame, progress)
        let grain = ((Int(word & 255) * (2 * noise + 1)) >> 8) - noise
        word >>= 8
        luma[row * size + column] = UInt8(clamping: min(max(colour.y + grain, 16), 235))
        if row % 2 == 0 && column % 2 == 0 {
          blue[row / 2 * (size / 2) + column / 2] = UInt8(clamping: colour.u)
          red[row / 2 * (size / 2) + column / 2] = UInt8(clamping: colour.v)
        }
      }
    }
    return DemoFrame(luma: luma, blue: blue, red: red)
  }

  private func colour(_ x: Int, _ y: Int, _ frame: Int, _ progress: Int) -> DemoColour {
    func between(_ start: Int, _ end: Int) -> Int { start + (((end - start) * progress) >> 12) }
    switch motion {
    case .shape(let shape, let start, let end):
      let dx = x - between(start.x, end.x)
      let dy = y - between(start.y, end.y)
      if contains(shape, dx, dy, between(start.radius, end.radius)) { return foreground.colour(x: dx, y: dy) }
    case .doors(let centre, let normal, let start, let end):
      let distance = ((x - centre.x) * normal.x + (y - centre.y) * normal.y) >> 4
      let gap = between(start, end)
      if abs(distance) >= gap {
        let shift = distance < 0 ? gap : -gap
        return foreground.colour(x: x + ((shift * normal.x) >> 4), y: y + ((shift * normal.y) >> 4))
      }
    }
    return background.colour(x: x + drift.x * frame, y: y + drift.y * frame)
  }

  private func contains(_ shape: Shape, _ dx: Int, _ dy: Int, _ radius: Int) -> Bool {
    let squared = dx * dx + dy * dy
    switch shape {
    case .disc: return squared < radius * radius
    case .square: return max(abs(dx), abs(dy)) < radius * 7 / 8
    case .diamond: return abs(dx) + abs(dy) < radius * 5 / 4
    case .ring: return squared < radius * radius && 6 * squared > radius * radius
    }
  }
}
