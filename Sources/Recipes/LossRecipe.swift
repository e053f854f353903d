// The recipe's `loss` section. `RecipeFields.swift` has its limits.

/// What training minimises.
public struct LossRecipe: Hashable, Sendable, Codable {
  /// What a clip of each class counts in the loss.
  public enum ClassWeights: Hashable, Sendable, Codable {
    case equal
    /// By how seldom it is in the training list.
    case balanced
    case list([Double])
  }

  /// The part of each label that is spread evenly over all classes.
  public var labelSmoothing = 0.0
  public var classWeights = ClassWeights.equal

  public var isWeighted: Bool { classWeights != .equal }

  public init() {}
}

extension LossRecipe.ClassWeights: RecipeValue {
  static var wanted: String { "balanced, or a list of numbers from 0.000001 to 1000000, one for each class" }

  init?(yaml: String) {
    if yaml == "balanced" {
      self = .balanced
      return
    }
    let list = yaml.hasPrefix("[") && yaml.hasSuffix("]") ? yaml.dropFirst().dropLast() : yaml[...]
    let parts = list.split(separator: ",").map { Double($0.drop { $0 == " " }) }
    let weights = parts.compactMap { $0 }
    guard weights.count == parts.count, weights.allSatisfy({ (1e-6...1e6).contains($0) }) else { return nil }
    self = weights.isEmpty ? .equal : .list(weights)
  }

  var yaml: String {
    switch self {
    case .equal: "[]"
    case .balanced: "balanced"
    case .list(let weights): "[" + weights.map(\.yaml).joined(separator: ", ") + "]"
    }
  }
}
