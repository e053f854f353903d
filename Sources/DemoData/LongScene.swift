// What happens in a clip of the set `long`, and how it is painted. Integers only: lengths in sixteenths of a pixel,
// progress in 4096ths.
import Shared

/// A textured disc to which events happen, in front of a textured background, among shapes to which nothing happens.
/// The camera sways and shakes, and the light changes.
struct LongScene {
  /// When each event begins, in frames. Every event lasts for `duration`.
  let events: [(event: LongEvent, start: Int)]
  static let duration = 12

  private struct Distractor {
    let isSquare: Bool
    let place: (x: Int, y: Int)
    let speed: (x: Int, y: Int)
    let radius: Int
    let texture: DemoTexture
  }

  /// An oscillation between -reach and reach.
  private struct Sway {
    let reach: Int
    let period: Int
    let phase: Int

    /// A parabola up, a parabola down: nearly a sine.
    func offset(at frame: Int) -> Int {
      let half = period / 2
      let place = (frame + phase) % period
      let arc = LongScene.arc((place % half) * 4096 / half)
      return ((place < half ? arc : -arc) * reach) >> 12
    }
  }

  private let disc: (x: Int, y: Int, radius: Int)
  private let discTexture: DemoTexture
  private let background: DemoTexture
  private let distractors: [Distractor]
  private let camera: (x: Sway, y: Sway)
  private let light: Sway
  private let shakes: [(x: Int, y: Int)]
  private let noise: Int

  init(of kind: LongClass, from random: inout Philox) {
    func length(_ pixels: ClosedRange<Int>) -> Int { 16 * pixels.lowerBound + random.below(16 * pixels.count) }
    func sway(_ reach: Int, _ periods: ClosedRange<Int>) -> Sway {
      let period = periods.lowerBound + random.below(periods.count)
      return Sway(reach: random.below(reach + 1), period: period, phase: random.below(period))
    }
    events = LongScene.times(of: kind, from: &random)
    disc = (length(30...49), length(38...51), length(9...12))
    let isBright = random.below(2) == 1
    discTexture = DemoTexture(brightness: 60 + random.below(40), from: &random)
    background = DemoTexture(brightness: isBright ? 150 + random.below(20) : 116 + random.below(20), from: &random)
    distractors = (0..<2).map { _ in
      Distractor(
        isSquare: random.below(2) == 1, place: (length(4...75), length(4...75)),
        speed: (random.below(17) - 8, random.below(17) - 8), radius: length(5...8),
        texture: DemoTexture(brightness: 60 + random.below(130), from: &random))
    }
    camera = (sway(16 * 8, 40...120), sway(16 * 6, 40...120))
    light = sway(10, 30...90)
    shakes = (0..<LongClip.frameCount).map { _ in (random.below(17) - 8, random.below(17) - 8) }
    noise = random.below(13)
  }

  /// When the events begin. The pauses are the only thing that depends on the class; the whole is anywhere in the clip.
  private static func times(of kind: LongClass, from random: inout Philox) -> [(LongEvent, Int)] {
    let pauses: ClosedRange<Int> =
      switch (kind.events.count, kind.isFar) {
      case (2, false): 2...8
      case (2, true): 36...48
      default: 6...18
      }
    var start = 0
    var times: [(LongEvent, Int)] = []
    for event in kind.events {
      times.append((event, start))
      start += duration + pauses.lowerBound + random.below(pauses.count)
    }
    let length = (times.last?.1 ?? 0) + duration
    let first = random.below(LongClip.frameCount - length + 1)
    return times.map { ($0.0, $0.1 + first) }
  }

  /// From 0 up to 4096 and down again while `progress` goes from 0 to 4096.
  private static func arc(_ progress: Int) -> Int { (progress * (4096 - progress)) >> 10 }

  /// How far an event has gone at `frame`: 0 before and after it, 4096 at its height.
  private func height(of event: LongEvent, at frame: Int) -> Int {
    guard let start = events.first(where: { $0.event == event })?.start,
      (start..<start + LongScene.duration).contains(frame)
    else { return 0 }
    return LongScene.arc((2 * (frame - start) + 1) * 4096 / (2 * LongScene.duration))
  }

  /// Paints picture `frame`. `random` gives the noise.
  func frame(_ frame: Int, from random: inout Philox) -> DemoFrame {
    let size = LongClip.size
    let view = (
      x: camera.x.offset(at: frame) + shakes[frame].x, y: camera.y.offset(at: frame) + shakes[frame].y
    )
    let glow = (height(of: .flash, at: frame) * 110) >> 12
    let top = disc.y - ((height(of: .hop, at: frame) * 16 * 16) >> 12)
    let radius = disc.radius + ((disc.radius * height(of: .swell, at: frame) * 3) >> 14)
    let lit = light.offset(at: frame)
    var picture = DemoFrame(
      luma: [UInt8](repeating: 0, count: size * size), blue: [UInt8](repeating: 0, count: size * size / 4),
      red: [UInt8](repeating: 0, count: size * size / 4))
    for row in 0..<size {
      var word: UInt32 = 0
      for column in 0..<size {
        if column % 4 == 0 { word = random.nextWord() }
        let (x, y) = (16 * column + view.x, 16 * row + view.y)
        let (dx, dy) = (x - disc.x, y - top)
        let isDisc = dx * dx + dy * dy < radius * radius
        let colour = isDisc ? discTexture.colour(x: dx, y: dy) : behind(x, y, frame)
        let grain = ((Int(word & 255) * (2 * noise + 1)) >> 8) - noise
        word >>= 8
        picture.luma[row * size + column] = UInt8(
          clamping: min(max(colour.y + lit + (isDisc ? glow : 0) + grain, 16), 235))
        if row % 2 == 0 && column % 2 == 0 {
          picture.blue[row / 2 * (size / 2) + column / 2] = UInt8(clamping: colour.u)
          picture.red[row / 2 * (size / 2) + column / 2] = UInt8(clamping: colour.v)
        }
      }
    }
    return picture
  }

  /// What is seen where the disc is not.
  private func behind(_ x: Int, _ y: Int, _ frame: Int) -> DemoColour {
    for shape in distractors {
      let (dx, dy) = (x - shape.place.x - shape.speed.x * frame, y - shape.place.y - shape.speed.y * frame)
      let isInside =
        shape.isSquare
        ? max(abs(dx), abs(dy)) < shape.radius * 7 / 8 : abs(dx) + abs(dy) < shape.radius * 5 / 4
      if isInside { return shape.texture.colour(x: dx, y: dy) }
    }
    return background.colour(x: x, y: y)
  }
}
