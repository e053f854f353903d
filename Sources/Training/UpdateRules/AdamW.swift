// Adam with decoupled weight decay.
import CKernels
import Recipes
import Shared

/// `m = β₁·m + (1 − β₁)·g; v = β₂·v + (1 − β₂)·g²; p = (1 − rate·weightDecay)·p − rate·m̂ / (√v̂ + ε)`, with g the mean
/// gradient, m̂ = m / (1 − β₁^t), v̂ = v / (1 − β₂^t) and t the step, from 1. A step that was skipped counts in t.
///
/// **Source:** Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2, as in
/// `torch.optim.AdamW`.
public struct AdamW: UpdateRule {
  private let recipe: OptimizerRecipe

  public init(_ recipe: OptimizerRecipe) { self.recipe = recipe }

  public var slots: [RuleSlot] { [RuleSlot("exp_avg"), RuleSlot("exp_avg_sq")] }

  public func update(_ tensor: TensorUpdate) {
    let (beta1, beta2) = (recipe.beta1, recipe.beta2)
    let rate = Double(tensor.rate)
    var rule = tamring_adamw_rule(
      beta1: Float(beta1), take1: Float(1 - beta1), beta2: Float(beta2), take2: Float(1 - beta2),
      keep: Float(1 - rate * recipe.weightDecay * tensor.decayFactor),
      rate: Float(rate / (1 - Self.power(beta1, tensor.step + 1))),
      root_correction: Float((1 - Self.power(beta2, tensor.step + 1)).squareRoot()), epsilon: Float(recipe.epsilon))
    let (first, count) = (tensor.range.lowerBound, Int64(tensor.range.count))
    let parameters = unsafe tensor.parameters.base + first
    let (mean, square) = unsafe (tensor.slots[0].base + first, tensor.slots[1].base + first)
    switch tensor.gradient {
    case .reduced(let sum, let exponents):
      unsafe tamring_adamw_reduced(
        &rule, count, sum.base + tensor.gradientOffset, tensor.scale(exponents), tensor.divisor, parameters, mean,
        square)
    case .summed(let sum):
      unsafe tamring_adamw(
        &rule, count, sum.base + tensor.gradientOffset, tensor.divisor, parameters, mean, square)
    }
  }

  /// base^n by repeated squaring, as the C library's pow may differ from machine to machine.
  private static func power(_ base: Double, _ n: UInt64) -> Double {
    var (result, square, rest) = (1.0, base, n)
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return result
  }
}
