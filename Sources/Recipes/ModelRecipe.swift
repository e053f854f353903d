// The recipe's `model`, `optimizer` and `schedule` sections. `RecipeFields.swift` has their limits.

/// The network to train.
public struct ModelRecipe: Hashable, Sendable, Codable {
  /// The name of a network; BLVNet's `Models` has the networks.
  public struct Architecture: RawRepresentable, Hashable, Sendable, Codable, CaseIterable {
    /// bLVNet-TAM; the same network without temporal modules and their ReLUs; and with temporal shifts in their places.
    public static let blvnetTAM = Architecture("blvnet-tam")
    public static let blvnet = Architecture("blvnet")
    public static let blvnetTSM = Architecture("blvnet-tsm")
    /// ResNet over single frames; with temporal shifts; with temporal modules.
    public static let tsn = Architecture("tsn")
    public static let tsm = Architecture("tsm")
    public static let tam = Architecture("tam")
    /// ResNet with three-dimensional kernels.
    public static let i3d = Architecture("i3d")

    /// The names that a recipe may use.
    public static let allCases = [blvnetTAM, blvnet, blvnetTSM, tsn, tsm, tam, i3d]

    public let rawValue: String

    public init(_ name: String) { rawValue = name }

    /// Nil if a recipe may not use the name.
    public init?(rawValue: String) {
      self.init(rawValue)
      guard Self.allCases.contains(self) else { return nil }
    }
  }

  /// How three neighbouring frames become one.
  public enum TemporalPooling: String, Hashable, Sendable, Codable, CaseIterable {
    case max
    case avg
  }

  public var architecture = Architecture.blvnetTAM
  /// 50, 101 or 152.
  public var depth = 50
  /// Channels of the stem; every other count scales with it. 64 as published.
  public var width = 64
  /// Frames of a clip (T): 16 for "8x2". Even for the big-little networks; a multiple of 8 for a ResNet with temporal
  /// stride.
  public var groups = 16
  /// Pixels on a side of the square input.
  public var inputSize = 224
  /// Big-little networks: the little branch has 1/alpha of the channels.
  public var alpha = 2
  /// Big-little networks: the little branch has 1/beta of the blocks.
  public var beta = 4
  /// `blvnet-tam`, `tam`: taps of a temporal module (r).
  public var blendingFrames = 3
  /// `blvnet-tsm`, `tsm`: 1/shiftDiv of the channels come from the next frame, and as many from the previous one.
  public var shiftDiv = 8
  /// ResNets: whether layers 1 to 3 (`i3d`: 2 to 4) halve the number of frames.
  public var temporalStride = false
  /// `tsn`, `tsm`, `tam` with `temporalStride`: how frames are pooled.
  public var temporalPooling = TemporalPooling.max
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
  /// Whether the shape of the clips changes, and the number of a step's clips with it.
  public var multigrid = Multigrid.none

  /// Whether the rate depends on validations.
  public var followsValidation: Bool { kind == .plateau && plateauOn == .validation }

  public init() {}
}
