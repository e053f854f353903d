// A recipe's patterns for the names of tensors, checked against its network before anything starts.
import BLVNet
import Recipes

/// What is wrong with `freeze`, `model.partial_bn` and `optimizer.groups` for the recipe's network. Nothing where the
/// model itself is impossible: which tensors it would have is not known then.
public func patternMistakes(_ recipe: Recipe) -> [String] {
  guard recipe.model.mistakes.isEmpty else { return [] }
  var whole = recipe.model
  (whole.freeze, whole.partialNorm) = (NamePatterns(), false)
  func mistake(_ check: () throws -> Void) -> String? {
    do {
      try check()
      return nil
    } catch { return "\(error)" }
  }
  return [
    mistake { _ = try Network(recipe.model, engine: .openblas) },
    mistake { _ = try UpdateSettings(recipe.optimizer, Network(whole, engine: .openblas).layout) },
  ].compactMap(\.self)
}
