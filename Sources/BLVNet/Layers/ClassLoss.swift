// The loss of a clip: cross-entropy with label smoothing, class weights and mixed labels.
import Recipes
import Shared

/// What a clip shows: a class, or a mixture of two.
public struct ClassTarget: Sendable, Hashable {
  public let label: Int
  public let other: Int
  /// The part of `label`, from 0 to 1; the rest is `other`.
  public let share: Double

  public init(_ label: Int) { (self.label, other, share) = (label, label, 1) }

  public init(_ label: Int, share: Double, other: Int) { (self.label, self.other, self.share) = (label, other, share) }

  /// The class that counts for accuracy: the one with the larger part.
  var largest: Int { share < 0.5 ? other : label }

  func part(of c: Int) -> Double { (c == label ? share : 0) + (c == other ? 1 - share : 0) }
}

/// loss = −Σ_c w_c · t_c · log softmax(logits)_c, with t = (1 − s) · target + s / classes, s the smoothing, and w the
/// weight of each class. It equals `torch.nn.functional.cross_entropy` with `weight` and `label_smoothing`.
///
/// **Source:** label smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
/// section 7.
public struct ClassLoss: Sendable, Hashable {
  public let smoothing: Double
  /// By class; empty if all are 1.
  public let weights: [Double]

  public init(smoothing: Double = 0, weights: [Double] = []) { (self.smoothing, self.weights) = (smoothing, weights) }

  /// - Parameter counts: how often each class occurs in the training index, for `balanced`: a class that occurs n times
  ///   weighs (clips / classes that occur) / n. A class that does not occur weighs nothing.
  /// - Throws: `BLVNetError(.badConfiguration)` for `balanced` without counts.
  public init(_ recipe: LossRecipe, counts: [Int]? = nil) throws {
    smoothing = recipe.labelSmoothing
    switch recipe.classWeights {
    case .equal: weights = []
    case .list(let list): weights = list
    case .balanced:
      guard let counts else {
        throw BLVNetError(
          .badConfiguration, "loss.class_weights: balanced needs a training list; give a list of weights")
      }
      let mean = Double(counts.reduce(0, +)) / Double(max(1, counts.count { $0 > 0 }))
      weights = counts.map { $0 == 0 ? 0 : mean / Double($0) }
    }
  }

  public var isWeighted: Bool { !weights.isEmpty }

  private func weight(of c: Int) -> Double { isWeighted ? weights[c] : 1 }

  /// What a clip counts in the step's mean: Σ_c w_c · target_c.
  func weight(of target: ClassTarget) -> Double {
    isWeighted ? target.share * weights[target.label] + (1 - target.share) * weights[target.other] : 1
  }

  /// - Parameters:
  ///   - logits: of one clip, as many as `gradient` gets values.
  ///   - gradient: receives the gradient with respect to the logits.
  func loss(
    _ logits: UnsafeBufferPointer<Float>, _ target: ClassTarget, gradient: UnsafeMutableBufferPointer<Float>
  ) -> Float {
    let top = unsafe Double(logits.max() ?? 0)
    let powers = unsafe logits.map { PortableMath.exp(Double($0) - top) }
    let sum = powers.reduce(0, +)
    let entire = PortableMath.log(sum.isNormal ? sum : 1) + top
    let uniform = smoothing / Double(powers.count)
    var (loss, total) = (0.0, 0.0)
    let parts = powers.indices.map { c in
      weight(of: c) * (smoothing == 0 ? target.part(of: c) : (1 - smoothing) * target.part(of: c) + uniform)
    }
    for c in parts.indices where parts[c] != 0 {
      unsafe loss += parts[c] * (entire - Double(logits[c]))
      total += parts[c]
    }
    for c in parts.indices { unsafe gradient[c] = Float(powers[c] / sum * total - parts[c]) }
    // The NaN of a diverged network must reach the caller, not trap here.
    return sum.isNormal ? Float(loss) : .nan
  }
}
