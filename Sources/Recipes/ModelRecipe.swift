// The recipe's `model`, `optimizer` and `schedule` sections. `RecipeFields.swift` has their limits.

/// The network to train.
public struct ModelRecipe: Hashable, Sendable, Codable {
  /// The name of a network; BLVNet's `Models` has the networks.
  public struct Architecture: RawRepresentable, Hashable, Sendable, Codable, CaseIterable {
    /// bLVNet-TAM, or the same network without temporal modules and their ReLUs.
    public static let blvnetTAM = Architecture("blvnet-tam")
    public static let blvnet = Architecture("blvnet")

    /// The names that a recipe may use.
    public static let allCases = [blvnetTAM, blvnet]

    public let rawValue: String

    public init(_ name: String) { rawValue = name }

    /// Nil if a recipe may not use the name.
    public init?(rawValue: String) {
      self.init(rawValue)
      guard Self.allCases.contains(self) else { return nil }
    }
  }

  public var architecture = Architecture.blvnetTAM
  /// 50, 101 or 152.
  public var depth = 50
  /// Channels of the stem; every other count scales with it. 64 as published.
  public var width = 64
  /// Frames of a clip (T): even, at least 2. 16 for "8x2".
  public var groups = 16
  /// Pixels on a side of the square input.
  public var inputSize = 224
  /// The little branch has 1/alpha of the channels.
  public var alpha = 2
  /// The little branch has 1/beta of the blocks.
  public var beta = 4
  /// Taps of a temporal module (r).
  public var blendingFrames = 3
  /// The probability that a feature before the classifier is zeroed.
  public var dropout = 0.5
  public var classes = 400

  public init() {}
}

/// SGD: `d = g + weightDecay·p; v = momentum·v + d; p −= rate·(d + momentum·v)`, or `p −= rate·v` without Nesterov.
public struct OptimizerRecipe: Hashable, Sendable, Codable {
  public var learningRate = 0.01
  public var momentum = 0.9
  public var weightDecay = 0.0005
  public var nesterov = true

  public init() {}
}

/// How the learning rate changes.
public struct ScheduleRecipe: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    case cosine
    case step
    case multiStep = "multi-step"
    case plateau
  }

  /// What a plateau is a plateau of.
  public enum Measure: String, Hashable, Sendable, Codable, CaseIterable {
    /// The epoch's mean training loss.
    case loss
    /// The validations: the top-1 accuracy, then the loss.
    case validation
  }

  public var kind = Kind.cosine
  public var epochs = 50
  /// Epochs over which the rate rises linearly, step by step; a fraction is allowed.
  public var warmupEpochs = 0.0
  /// `step`: epochs between two reductions.
  public var stepEpochs = 30
  /// `multi-step`: the epochs at which the rate is reduced, ascending.
  public var milestones: [Int] = []
  /// `step`, `multi-step`, `plateau`: the factor of a reduction.
  public var gamma = 0.1
  /// `plateau`: epochs without a better training loss, or validations without a better model, before a reduction.
  public var patience = 10
  public var plateauOn = Measure.loss

  /// Whether the rate depends on validations.
  public var followsValidation: Bool { kind == .plateau && plateauOn == .validation }

  public init() {}
}
