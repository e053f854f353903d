// mixup and CutMix: two clips of a lane become two mixtures of them, and so do their labels.
import BLVNet
import CKernels
import Recipes
import Shared

/// Pairs the planned clips of a lane at random, and mixes each pair. With mixup, the two become λ·a + (1 − λ)·b and
/// λ·b + (1 − λ)·a; with CutMix, they swap a box of 1 − λ of the picture, the same in all frames. λ is drawn from
/// Beta(α, α). An odd clip out stays as it is, and so does one whose partner is excluded. If a recipe has both, each
/// pair draws one of them.
///
/// Everything is a pure function of (seed, step, lane) and the planned clips.
///
/// **Source:** Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Yun et al., "CutMix:
/// Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019, algorithm A1.
public struct ClipMixing: Sendable {
  /// Two clips, by their places in the lane's plan.
  public struct Pair: Sendable, Hashable {
    public let first: Int
    public let second: Int
    /// λ: how much of a clip's own pixels it keeps.
    public let share: Double
    /// The box that the two swap, in pixels; nil if all pixels are mixed.
    public let box: Box?
  }

  public struct Box: Sendable, Hashable {
    public let x: Range<Int>
    public let y: Range<Int>
  }

  /// α of each; 0 for none.
  private let mixup: Double
  private let cutmix: Double

  public init(_ recipe: Recipe) { (mixup, cutmix) = (recipe.data.mixup, recipe.data.cutmix) }

  public var isWanted: Bool { mixup > 0 || cutmix > 0 }

  /// - Parameters:
  ///   - clips: planned for the lane.
  ///   - size: pixels of a side.
  public func pairs(of clips: Int, size: Int, seed: UInt64, step: UInt64, lane: Int) -> [Pair] {
    var random = Philox(
      seed: seed, .clipMixing, UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: lane))
    let order = random.permutation(clips)
    return stride(from: 0, to: clips - 1, by: 2).map { place in
      let cuts = cutmix > 0 && (mixup == 0 || random.below(2) == 1)
      let share = Self.beta(cuts ? cutmix : mixup, &random)
      guard cuts else { return Pair(first: order[place], second: order[place + 1], share: share, box: nil) }
      let side = Int(Double(size) * (1 - share).squareRoot())
      func range() -> Range<Int> {
        let middle = random.below(size)
        return max(0, middle - side / 2)..<min(size, middle + side - side / 2)
      }
      let box = Box(x: range(), y: range())
      let own = 1 - Double(box.x.count * box.y.count) / Double(size * size)
      return Pair(first: order[place], second: order[place + 1], share: own, box: box)
    }
  }

  /// A number from Beta(α, α), by Jöhnk's method.
  ///
  /// **Source:** Devroye, "Non-Uniform Random Variate Generation", 1986, section IX.3.5.
  static func beta(_ alpha: Double, _ random: inout Philox) -> Double {
    while true {
      // Never 0, whose logarithm is not finite.
      let x = PortableMath.exp(PortableMath.log(random.unit() + 0x1p-33) / alpha)
      let y = PortableMath.exp(PortableMath.log(random.unit() + 0x1p-33) / alpha)
      if x + y <= 1, x + y > 0 { return x / (x + y) }
    }
  }

  /// Mixes clips in place.
  /// - Parameters:
  ///   - planned: the lane's clips; `trained`: those of them that are in `storage`, in the same order, with their
  ///     `labels`.
  ///   - storage: [clips·T, S, S, 3].
  ///   - share: a parallel loop: calls its second argument with each number below the first, on any threads.
  /// - Returns: what each trained clip then shows.
  public static func mix(
    _ pairs: [Pair], planned: [Int], trained: [Int], labels: [Int], _ storage: FloatStorage, frames: Int, size: Int,
    share: (Int, (Int) -> Void) -> Void = { pieces, body in for piece in 0..<pieces { body(piece) } }
  ) -> [ClassTarget] {
    var places: [Int?] = []
    var next = 0
    for clip in planned {
      let isTrained = next < trained.count && trained[next] == clip
      places.append(isTrained ? next : nil)
      next += isTrained ? 1 : 0
    }
    var targets = labels.map { ClassTarget($0) }
    let (row, frame) = (size * 3, size * size * 3)
    precondition(trained.count * frames * frame <= storage.count, "\(trained.count) clips in \(storage.count) numbers")
    for pair in pairs {
      guard let a = places[pair.first], let b = places[pair.second] else { continue }
      share(frames) { number in
        // The threads that share this may treat subnormal numbers in different ways.
        let mode = tamring_enter_lane_mode()
        defer { tamring_leave_lane_mode(mode) }
        let first = unsafe storage.base + (a * frames + number) * frame
        let second = unsafe storage.base + (b * frames + number) * frame
        guard let box = pair.box else { return unsafe tamring_mix(Int64(frame), Float(pair.share), first, second) }
        for y in box.y {
          let start = y * row + box.x.lowerBound * 3
          unsafe tamring_swap(Int64(box.x.count * 3), first + start, second + start)
        }
      }
      targets[a] = ClassTarget(labels[a], share: pair.share, other: labels[b])
      targets[b] = ClassTarget(labels[b], share: pair.share, other: labels[a])
    }
    return targets
  }
}
