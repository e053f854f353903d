// The loss of a clip: cross-entropy over the classes, or a yes or no for each; with label smoothing and class weights.
import Recipes
import Shared

/// What a clip shows: its classes, or a mixture of two.
public struct ClassTarget: Sendable, Hashable {
  /// One, or for a binary loss as many as the clip has. Of a mixture, those of its two clips.
  public let classes: [Int]
  /// Of a mixture, the part of the first class, from 0 to 1; the rest is the second one's.
  public let share: Double?

  public init(_ classes: [Int]) { (self.classes, share) = (classes, nil) }

  public init(_ label: Int) { self.init([label]) }

  public init(_ label: Int, share: Double, other: Int) { (classes, self.share) = ([label, other], share) }

  /// The classes that count for accuracy: all, or of a mixture the one with the larger part.
  var counted: [Int] { share.map { [classes[$0 < 0.5 ? 1 : 0]] } ?? classes }

  func part(of c: Int) -> Double {
    guard let share else { return classes.contains(c) ? 1 : 0 }
    return (c == classes[0] ? share : 0) + (c == classes[1] ? 1 - share : 0)
  }
}

/// With y_c the target's part of class c, C classes, w_c their weights and s the smoothing:
/// - softmax: loss = −Σ_c w_c · t_c · log softmax(logits)_c, with t = (1 − s) · y + s / C. It equals
///   `torch.nn.functional.cross_entropy` with `weight` and `label_smoothing`.
/// - binary: loss = −1/C · Σ_c w_c · (t_c · log σ(logit_c) + (1 − t_c) · log(1 − σ(logit_c))), with
///   t = (1 − s) · y + s / 2, as each class has two outcomes. It equals
///   `torch.nn.functional.binary_cross_entropy_with_logits` with `weight`, whose `mean` is over the classes too.
///
/// **Source:** label smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
/// section 7.
public struct ClassLoss: Sendable, Hashable {
  public let kind: LossRecipe.Kind
  public let smoothing: Double
  /// By class; empty if all are 1.
  public let weights: [Double]

  public init(_ kind: LossRecipe.Kind = .softmax, smoothing: Double = 0, weights: [Double] = []) {
    (self.kind, self.smoothing, self.weights) = (kind, smoothing, weights)
  }

  /// - Parameter counts: how often each class occurs in the training index, for `balanced`: a class that occurs n times
  ///   weighs (occurrences of all / classes that occur) / n. A class that does not occur weighs nothing.
  /// - Throws: `BLVNetError(.badConfiguration)` for `balanced` without counts.
  public init(_ recipe: LossRecipe, counts: [Int]? = nil) throws {
    kind = recipe.kind
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

  private func weight(of c: Int) -> Double { weights.isEmpty ? 1 : weights[c] }

  /// Whether clips count differently in the step's mean. With a binary loss all classes' weights are in each clip's
  /// loss.
  public var weighsClips: Bool { kind == .softmax && !weights.isEmpty }

  /// What a clip counts in the step's mean: Σ_c w_c · y_c, or 1.
  func weight(of target: ClassTarget) -> Double {
    guard weighsClips else { return 1 }
    guard let share = target.share else { return weights[target.classes[0]] }
    return share * weights[target.classes[0]] + (1 - share) * weights[target.classes[1]]
  }

  /// - Parameters:
  ///   - logits: of one clip, as many as `gradient` gets values.
  ///   - gradient: receives the gradient with respect to the logits.
  func loss(
    _ logits: UnsafeBufferPointer<Float>, _ target: ClassTarget, gradient: UnsafeMutableBufferPointer<Float>
  ) -> Float {
    switch kind {
    case .softmax: unsafe softmax(logits, target, gradient: gradient)
    case .binary: unsafe binary(logits, target, gradient: gradient)
    }
  }

  private func softmax(
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

  private func binary(
    _ logits: UnsafeBufferPointer<Float>, _ target: ClassTarget, gradient: UnsafeMutableBufferPointer<Float>
  ) -> Float {
    let classes = Double(logits.count)
    var loss = 0.0
    for c in logits.indices {
      let logit = unsafe Double(logits[c])
      let wanted = (1 - smoothing) * target.part(of: c) + smoothing / 2
      loss += weight(of: c) * binaryCrossEntropy(logit, wanted)
      unsafe gradient[c] = Float(weight(of: c) * (sigmoid(logit) - wanted) / classes)
    }
    return Float(loss / classes)
  }
}
