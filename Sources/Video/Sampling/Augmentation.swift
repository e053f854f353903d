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

/// Training: multi-scale crop and flip. Evaluation: the shorter side is scaled to S/0.875 (or to S), then the centre or
/// several crops of S×S are taken. The reference implementation's rules.
///
/// **Source:** `core/video_transforms.py` and `test.py` of the reference implementation of bLVNet-TAM; Wang et al.,
/// "Temporal Segment Networks", ECCV 2016, section 3.2 (corner cropping, scale jittering).
public enum Augmentation {
  /// The fraction of the shorter side that evaluation shows.
  private static let shown = 0.875

  /// The fixed crop positions, in quarters of the free space: corners, centre, middles of the edges, and between.
  static let positions: [(x: Int, y: Int)] = [
    (0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3),
  ]

  /// The plan of a clip.
  /// - Parameters: width, height: pixels as displayed, at least 1.
  public static func plan(_ form: ClipForm, width: Int, height: Int, epoch: Int, clip: Int) -> CropPlan {
    precondition(width > 0 && height > 0, "a picture of \(width)x\(height)")
    return form.training
      ? random(form, width, height, epoch: epoch, clip: clip) : fixed(form, width, height)
  }

  private static func random(_ form: ClipForm, _ width: Int, _ height: Int, epoch: Int, clip: Int) -> CropPlan {
    var generator = Philox(
      seed: form.seed, .augmentation, UInt32(truncatingIfNeeded: epoch), UInt32(truncatingIfNeeded: clip))
    if form.cropArea > 0 {
      let rect = anywhere(form.cropArea, width, height, &generator)
      return CropPlan(rect: rect, flip: generator.below(2) == 1 && form.flip)
    }
    let shorter = min(width, height)
    let sides = form.scales.map { side($0, of: shorter, result: form.size) }
    // All pairs of scales at most one step apart.
    let pairs = sides.indices.flatMap { i in sides.indices.filter { abs($0 - i) <= 1 }.map { (i, $0) } }
    let pair = pairs[generator.below(pairs.count)]
    let position = positions[generator.below(positions.count)]
    let flip = generator.below(2) == 1 && form.flip
    return CropPlan(rect: place(sides[pair.0], sides[pair.1], position, width, height), flip: flip)
  }

  /// A crop of a random part of the picture, from `area` to all, at a random place; its sides are as 3 to 4 at most.
  ///
  /// **Source:** Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6, as in
  /// `torchvision.transforms.RandomResizedCrop`: after ten tries that do not fit, the largest crop around the middle.
  private static func anywhere(_ area: Double, _ width: Int, _ height: Int, _ generator: inout Philox) -> PixelRect {
    let proportions = 3.0 / 4...4.0 / 3
    for _ in 0..<10 {
      let (w, h) = Proportions.sides(
        area: Double(width * height) * generator.within(area...1), generator.proportion(proportions))
      guard (1...width).contains(w), (1...height).contains(h) else { continue }
      return PixelRect(
        x: generator.below(width - w + 1), y: generator.below(height - h + 1), width: w, height: h)
    }
    let own = min(max(Double(width) / Double(height), proportions.lowerBound), proportions.upperBound)
    let w = min(width, max(1, Int((Double(height) * own).rounded(.toNearestOrEven))))
    let h = min(height, max(1, Int((Double(width) / own).rounded(.toNearestOrEven))))
    return PixelRect(x: (width - w) / 2, y: (height - h) / 2, width: w, height: h)
  }

  private static func fixed(_ form: ClipForm, _ width: Int, _ height: Int) -> CropPlan {
    let size = form.size
    let side = form.scaleUp ? Int(Double(size) / shown + 0.5) : size
    let (shorter, longer) = (min(width, height), max(width, height))
    let long = side * longer / shorter
    let scaled =
      width <= height ? PictureSize(width: side, height: long) : PictureSize(width: long, height: side)
    let view = form.view
    var flip = false
    let rect: PixelRect
    switch view.crops {
    case 3:
      // Along the longer side: the start, the end, the middle.
      let along = [0, 4, 2][view.crop]
      rect = place(
        size, size, scaled.width < scaled.height ? (2, along) : (along, 2), scaled.width, scaled.height)
    case 5, 10:
      // The corners and the centre; then the same mirrored.
      rect = place(size, size, positions[view.crop % 5], scaled.width, scaled.height)
      flip = view.crop >= 5
    default:
      rect = PixelRect(
        x: half(scaled.width - size), y: half(scaled.height - size), width: size, height: size)
    }
    return CropPlan(rect: rect, flip: flip, scaled: scaled)
  }

  /// A side of the crop, in pixels. One that is nearly the result's is the result's, so that nothing is resized.
  private static func side(_ scale: Double, of shorter: Int, result: Int) -> Int {
    let side = min(shorter, max(1, Int(scale * Double(shorter))))
    return abs(side - result) < 3 && result <= shorter ? result : side
  }

  private static func place(_ w: Int, _ h: Int, _ quarters: (x: Int, y: Int), _ width: Int, _ height: Int) -> PixelRect
  {
    PixelRect(x: quarters.x * ((width - w) / 4), y: quarters.y * ((height - h) / 4), width: w, height: h)
  }

  /// Half of a length, to the nearest pixel; halves to the even one.
  private static func half(_ length: Int) -> Int { length / 2 + (length % 4 == 3 ? 1 : 0) }
}
