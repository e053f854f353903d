// What surrounds the update rule: clipping before it, factors of single tensors, and the average of the weights after
// it.
import BLVNet
import Recipes
import Shared

/// The recipe's clipping, groups and average, for one network.
public struct UpdateSettings: Sendable {
  /// The largest norm of the mean gradient; nil for any.
  public var clipNorm: Double?
  /// What the average of the weights keeps in a step; nil for no average.
  public var averageDecay: Double?
  /// Of each tensor of the layout; empty for 1 each.
  var factors: [OptimizerRecipe.Group] = []

  public init() {}

  /// - Throws: `SharedError(.badConfiguration)` naming the patterns that match no tensor.
  public init(_ recipe: OptimizerRecipe, _ layout: StateLayout) throws {
    clipNorm = recipe.clipNorm > 0 ? recipe.clipNorm : nil
    averageDecay = recipe.ema > 0 ? recipe.ema : nil
    let groups = recipe.groups.list
    guard !groups.isEmpty else { return }
    let names = layout.parameters.map(\.name)
    let mistakes = groups.compactMap { $0.pattern.mistake("optimizer.groups", among: names) }
    guard mistakes.isEmpty else { throw SharedError(.badConfiguration, mistakes.joined(separator: "; ")) }
    let rest = OptimizerRecipe.Group(pattern: NamePattern("*"))
    factors = layout.parameters.map { tensor in groups.first { $0.pattern.matches(tensor.name) } ?? rest }
  }
}

/// The norm of a step's gradient.
enum GradientNorm {
  /// Elements that are summed in double at a time.
  private static let block = 1 << 16

  /// ‖sum‖₂, summed over fixed blocks in the order of the tensors, so that it is the same on all ranks.
  static func norm(_ gradient: StepGradient, _ tensors: [Range<Int>]) -> Double {
    var squares = 0.0
    for (index, range) in tensors.enumerated() {
      var own = 0.0
      for first in stride(from: range.lowerBound, to: range.upperBound, by: block) {
        let part = first..<min(first + block, range.upperBound)
        switch gradient {
        case .reduced(let sum, _): own += GradientScale.squares(of: sum, part)
        case .summed(let sum): for i in part { own += Double(sum[i]) * Double(sum[i]) }
        }
      }
      if case .reduced(_, let exponents) = gradient { own *= GradientScale.power(2 * Int(exponents[index])) }
      squares += own
    }
    return squares.squareRoot()
  }
}
