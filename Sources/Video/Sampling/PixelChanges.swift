// What training changes in a clip's pixels after they are cropped and scaled: colours, and a box that is erased. A pure
// function of (seed, epoch, clip), the same for all frames of the clip.
import CKernels
import Shared

/// How much the pixels of training clips change.
public struct PixelRule: Hashable, Sendable {
  /// Brightness, contrast and saturation are multiplied by factors from 1 − colour to 1 + colour.
  public var colour: Double
  /// The hue turns by up to this part of the circle, either way: at most 0.5.
  public var hue: Double
  /// The probability that a box is erased.
  public var erasing: Double

  public init(colour: Double = 0, hue: Double = 0, erasing: Double = 0) {
    (self.colour, self.hue, self.erasing) = (colour, hue, erasing)
  }
}

/// The changes to one clip.
///
/// **Source:** colours: `torchvision.transforms.ColorJitter`, the order drawn too; erasing: Zhong et al., "Random
/// Erasing Data Augmentation", AAAI 2020, algorithm 1, with `torchvision.transforms.RandomErasing`'s sizes; the box
/// gets the mean colour.
struct PixelChanges: Hashable, Sendable {
  enum Colour: Hashable, Sendable {
    case brightness(Float)
    case contrast(Float)
    case saturation(Float)
    case hue(Float)
  }

  struct Box: Hashable, Sendable {
    let x: Range<Int>
    let y: Range<Int>
  }

  var colours: [Colour] = []
  var erased: Box?

  /// Parts of the picture, and proportions of the sides, that a box may have.
  private static let (areas, proportions) = (0.02...0.33, 0.3...3.3)
  private static let mean: [Float] = [0.485, 0.456, 0.406]
  private static let deviation: [Float] = [0.229, 0.224, 0.225]

  init(colours: [Colour] = [], erased: Box? = nil) { (self.colours, self.erased) = (colours, erased) }

  /// Nothing, except in training.
  init(_ form: ClipForm, epoch: Int, clip: Int) {
    let rule = form.pixels
    guard form.training, rule != PixelRule() else { return }
    var random = Philox(
      seed: form.seed, .pixelChanges, UInt32(truncatingIfNeeded: epoch), UInt32(truncatingIfNeeded: clip))
    func factor() -> Float { Float(1 + rule.colour * (2 * random.unit() - 1)) }
    let (brightness, contrast, saturation) = (factor(), factor(), factor())
    let turn = Float(rule.hue * (2 * random.unit() - 1))
    var all: [Colour] = []
    if rule.colour > 0 { all += [.brightness(brightness), .contrast(contrast), .saturation(saturation)] }
    if rule.hue > 0 { all.append(.hue(turn)) }
    colours = random.permutation(all.count).map { all[$0] }
    if random.unit() < rule.erasing { erased = Self.box(form.size, &random) }
  }

  /// A box with less than the whole side, of ten tries.
  private static func box(_ size: Int, _ random: inout Philox) -> Box? {
    for _ in 0..<10 {
      let (width, height) = Proportions.sides(
        area: Double(size * size) * random.within(areas), random.proportion(proportions))
      guard (1..<size).contains(width), (1..<size).contains(height) else { continue }
      let (x, y) = (random.below(size - width + 1), random.below(size - height + 1))
      return Box(x: x..<x + width, y: y..<y + height)
    }
    return nil
  }

  /// - Parameter clip: [T, S, S, 3], normalised.
  func apply(to clip: UnsafeMutableBufferPointer<Float>, size: Int) {
    guard let base = clip.baseAddress else { return }
    let (pixels, frame) = (size * size, size * size * 3)
    for start in stride(from: 0, to: clip.count, by: frame) {
      unsafe change(base + start, Int64(pixels))
      guard let erased else { continue }
      for y in erased.y {
        let first = start + (y * size + erased.x.lowerBound) * 3
        unsafe (base + first).update(repeating: 0, count: 3 * erased.x.count)
      }
    }
  }

  private func change(_ frame: UnsafeMutablePointer<Float>, _ pixels: Int64) {
    guard !colours.isEmpty else { return }
    unsafe tamring_scale_channels(pixels, Self.deviation, Self.mean, frame)
    for colour in colours {
      switch colour {
      case .brightness(let factor): unsafe tamring_brightness(pixels, factor, frame)
      case .contrast(let factor): unsafe tamring_contrast(pixels, factor, frame)
      case .saturation(let factor): unsafe tamring_saturation(pixels, factor, frame)
      case .hue(let turns): unsafe tamring_hue(pixels, turns, frame)
      }
    }
    let inverse = Self.deviation.map { 1 / $0 }
    unsafe tamring_scale_channels(pixels, inverse, zip(Self.mean, inverse).map { -$0 * $1 }, frame)
  }
}

/// Sides of boxes that are drawn by area and proportion.
enum Proportions {
  /// - Parameter proportion: width by height.
  static func sides(area: Double, _ proportion: Double) -> (width: Int, height: Int) {
    (
      Int((area * proportion).squareRoot().rounded(.toNearestOrEven)),
      Int((area / proportion).squareRoot().rounded(.toNearestOrEven))
    )
  }
}

extension Philox {
  /// Uniform in the range.
  mutating func within(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * unit()
  }

  /// Of which the logarithm is uniform: as often a number as its inverse.
  mutating func proportion(_ range: ClosedRange<Double>) -> Double {
    PortableMath.exp(within(PortableMath.log(range.lowerBound)...PortableMath.log(range.upperBound)))
  }
}
