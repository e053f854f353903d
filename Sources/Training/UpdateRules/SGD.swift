// Stochastic gradient descent with momentum.
import CKernels
import Recipes
import Shared

/// `d = g + weightDecay·p; v = momentum·v + d; p −= rate·(d + momentum·v)`, or `p −= rate·v` without Nesterov, with
/// g the mean gradient.
public struct SGD: UpdateRule {
  private let recipe: OptimizerRecipe

  public init(_ recipe: OptimizerRecipe) { self.recipe = recipe }

  public var slots: [RuleSlot] { [RuleSlot("momentum")] }

  public func update(_ tensor: TensorUpdate) {
    var rule = tamring_sgd_rule(
      rate: tensor.rate, momentum: Float(recipe.momentum), weight_decay: Float(recipe.weightDecay * tensor.decayFactor),
      nesterov: recipe.nesterov)
    let (first, count) = (tensor.range.lowerBound, Int64(tensor.range.count))
    let parameters = unsafe tensor.parameters.base + first
    let momentum = unsafe tensor.slots[0].base + first
    switch tensor.gradient {
    case .reduced(let sum, let exponents):
      unsafe tamring_sgd_reduced(
        &rule, count, sum.base + tensor.gradientOffset, tensor.scale(exponents), tensor.divisor, parameters, momentum)
    case .summed(let sum):
      unsafe tamring_sgd(&rule, count, sum.base + tensor.gradientOffset, tensor.divisor, parameters, momentum)
    }
  }
}
