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
  /// Tensors that are not trained. A batch norm whose weight and bias are among them keeps its running statistics, and
  /// uses them.
  public var freeze = NamePatterns()
  /// Whether all batch norms but the first are frozen.
  public var partialNorm = false

  public init() {}
}

/// The update rule, and what is done to gradients and weights around it.
public struct OptimizerRecipe: Hashable, Sendable, Codable {
  /// The name of an update rule; Training's `UpdateRules` has the rules.
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    /// `d = g + weightDecay·p; v = momentum·v + d; p −= rate·(d + momentum·v)`, or `p −= rate·v` without Nesterov.
    case sgd
    /// Adam with decoupled weight decay.
    case adamw
  }

  public var kind = Kind.sgd
  public var learningRate = 0.01
  /// `sgd`.
  public var momentum = 0.9
  public var weightDecay = 0.0005
  /// `sgd`.
  public var nesterov = true
  /// `adamw`: what the running means of gradients and of their squares keep, and what is added to the latter's root.
  public var beta1 = 0.9
  public var beta2 = 0.999
  public var epsilon = 1e-8
  /// The largest norm of a step's mean gradient, over all tensors; 0 for any.
  public var clipNorm = 0.0
  /// What the running average of the weights keeps in a step; 0 for no average.
  public var ema = 0.0
  public var groups = Groups()

  public init() {}
}

/// How the learning rate changes.
public struct ScheduleRecipe: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    /// A cosine that changes from epoch to epoch, and one that changes from step to step.
    case cosine
    case cosineStep = "cosine-step"
    case step
    case multiStep = "multi-step"
    case plateau
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
  /// `plateau`: epochs without a better training loss before a reduction.
  public var patience = 10

  public init() {}
}
