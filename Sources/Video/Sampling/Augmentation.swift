// Which part of the picture a clip shows: a pure function of its size and of (seed, epoch, clip).
import Shared

public struct PictureSize: Hashable, Sendable {
  public var width: Int
  public var height: Int

  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }
}

/// The crop of the displayed picture, which is resized to S×S; the same for all frames of a clip.
public struct CropPlan: Hashable, Sendable {
  /// Pixels of the picture as displayed, or of the scaled picture.
  public var rect: PixelRect
  /// Mirrored left to right.
  public var flip: Bool
  /// The size to which the picture is scaled before it is cropped; nil if it is cropped first. There is one resampling
  /// in either case. After scaling, a pixel at the crop's border also sees its neighbours outside.
  public var scaled: PictureSize?

  public init(rect: PixelRect, flip: Bool, scaled: PictureSize? = nil) {
    self.rect = rect
    self.flip = flip
    self.scaled = scaled
  }
}

/// Training: multi-scale crop and flip. Evaluation: the shorter side is scaled to S/0.875, then the centre or several
/// crops are taken.
///
/// **Source:** Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2 (corner cropping, scale jittering).
public enum Augmentation {
  /// The fraction of the shorter side that evaluation shows: S of S/0.875.
  static let shown = 0.875

  /// The fixed crop positions, in quarters of the free space: corners, centre, middles of the edges, and between.
  static let positions: [(x: Int, y: Int)] = [
    (0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3),
  ]

  /// The plan of a clip.
  /// - Parameters: width, height: pixels as displayed, at least 1.
  public static func plan(_ form: ClipForm, width: Int, height: Int, epoch: Int, clip: Int) -> CropPlan {
    precondition(width > 0 && height > 0, "a picture of \(width)x\(height)")
    return form.training
      ? random(form, width, height, epoch: epoch, clip: clip) : fixed(form.view, width, height)
  }

  private static func random(_ form: ClipForm, _ width: Int, _ height: Int, epoch: Int, clip: Int) -> CropPlan {
    var generator = Philox(
      seed: form.seed, .augmentation, UInt32(truncatingIfNeeded: epoch), UInt32(truncatingIfNeeded: clip))
    let sides = form.scales.map { side($0, width, height) }
    // All pairs of scales at most one step apart.
    let pairs = sides.indices.flatMap { i in sides.indices.filter { abs($0 - i) <= 1 }.map { (i, $0) } }
    let pair = pairs[generator.below(pairs.count)]
    let position = positions[generator.below(positions.count)]
    let flip = generator.below(2) == 1 && form.flip
    return CropPlan(rect: place(sides[pair.0], sides[pair.1], position, width, height), flip: flip)
  }

  private static func fixed(_ view: ClipView, _ width: Int, _ height: Int) -> CropPlan {
    let small = side(shown, width, height)
    switch view.crops {
    case 3:
      // The whole shorter side, at the start, the middle and the end of the longer one.
      let whole = min(width, height)
      return CropPlan(rect: place(whole, whole, positions[[0, 4, 3][view.crop]], width, height), flip: false)
    case 5, 10:
      // The corners and the centre; then the same mirrored.
      return CropPlan(rect: place(small, small, positions[view.crop % 5], width, height), flip: view.crop >= 5)
    default:
      return CropPlan(rect: place(small, small, (2, 2), width, height), flip: false)
    }
  }

  private static func side(_ scale: Double, _ width: Int, _ height: Int) -> Int {
    let shorter = min(width, height)
    return min(shorter, max(1, Int((scale * Double(shorter)).rounded())))
  }

  private static func place(_ w: Int, _ h: Int, _ quarters: (x: Int, y: Int), _ width: Int, _ height: Int) -> PixelRect
  {
    PixelRect(x: (width - w) * quarters.x / 4, y: (height - h) * quarters.y / 4, width: w, height: h)
  }
}
