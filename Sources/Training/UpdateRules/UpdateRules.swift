// The registry of update rules.
import Recipes
import Shared

public typealias UpdateRuleRegistry = [String: any UpdateRule.Type]

public enum UpdateRules {
  /// By name.
  public static let all: UpdateRuleRegistry = [
    "adamw": AdamW.self, "sgd": SGD.self,
  ]
}

extension OptimizerRecipe {
  /// The recipe's update rule.
  /// - Throws: `SharedError(.badConfiguration)` naming the rules that there are.
  public func makeRule(of rules: UpdateRuleRegistry = UpdateRules.all) throws -> any UpdateRule {
    try makeRule(named: kind.rawValue, of: rules)
  }

  func makeRule(named name: String, of rules: UpdateRuleRegistry) throws -> any UpdateRule {
    guard let rule = rules[name] else {
      throw SharedError(
        .badConfiguration,
        "optimizer.kind is \(name); it must be one of \(rules.keys.sorted().joined(separator: ", "))")
    }
    return rule.init(self)
  }
}
