// The recipe's `model` and `optimizer` sections: plain values, checked by `RecipeReader`.

/// Which network is trained.
public struct ModelRecipe: Hashable, Sendable, Codable {
  /// The name of a network; BLVNet's `Models` has the network itself.
  public struct Architecture: RawRepresentable, Hashable, Sendable, Codable, CaseIterable {
    /// bLVNet-TAM, or its relative without temporal modules (every TAM left out, its ReLU too).
    public static let blvnetTAM = Architecture("blvnet-tam")
    public static let blvnet = Architecture("blvnet")

    /// Those that a recipe may name.
    public static let allCases = [blvnetTAM, blvnet]

    public let rawValue: String

    public init(_ name: String) { rawValue = name }

    /// Nil where a recipe may not name it.
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
  /// Pixels of a side of the square input.
  public var inputSize = 224
  /// The little branch has 1/alpha of the channels.
  public var alpha = 2
  /// The little branch has 1/beta of the blocks.
  public var beta = 4
  /// Taps of a temporal module (r).
  public var blendingFrames = 3
  /// Probability of a zeroed feature before the classifier.
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

/// How the learning rate moves.
public struct ScheduleRecipe: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    case cosine
    case step
    case multiStep = "multi-step"
    case plateau
  }

  public var kind = Kind.cosine
  public var epochs = 50
  /// Epochs of linear rise to the full rate; a fraction is allowed. The rate then moves per step within them.
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
