// The recipe's `loss` section. `RecipeFields.swift` has its limits.

/// What training minimises.
public struct LossRecipe: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    /// Cross-entropy under the softmax of all classes: a clip has one class.
    case softmax
    /// Binary cross-entropy for each class: a clip has any number of classes.
    case binary
  }

  /// What a clip of each class counts in the loss.
  public enum ClassWeights: Hashable, Sendable, Codable {
    case equal
    /// By how seldom it is in the training list.
    case balanced
    case list([Double])
  }

  public var kind = Kind.softmax
  /// The part of each label that is spread evenly over all classes, or for a binary loss over yes and no.
  public var labelSmoothing = 0.0
  public var classWeights = ClassWeights.equal

  /// Whether clips count differently in a step's mean. With a binary loss all classes' weights are in each clip's loss.
  public var weighsClips: Bool { kind == .softmax && classWeights != .equal }

  /// The scores of a clip, from which the mean average precision is computed, must fit into a message.
  public static let mostBinaryClasses = 200_000

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
