// The recipe: everything that decides the bits of a run, and how it is kept. Plain values beside their meaning.

/// A whole recipe. `RecipeFields` says how each value is written in YAML and what it may be.
public struct Recipe: Hashable, Sendable {
  /// The run's name; its directory is `runs/NAME` by default.
  public var name = "run"
  /// Everything random in a run is drawn from this.
  public var seed: UInt64 = 1
  public var engine = Engine.onednn
  public var precision = Precision.float32
  /// With `bf16`: convert to float32 for the convolutions, on every processor alike. For trials where bf16 is slow.
  public var emulateBF16 = false
  public var model = ModelRecipe()
  public var optimizer = OptimizerRecipe()
  public var schedule = ScheduleRecipe()
  public var batch = BatchRecipe()
  public var data = DataRecipe()
  public var exchange = ExchangeRecipe()
  public var checkpoint = CheckpointRecipe()
  public var faults = FaultRecipe()
  /// What was changed since the run began, oldest first: the values above are those of the newest.
  public var revisions: [RecipeRevision] = []

  /// The engine that computes the convolutions.
  public enum Engine: String, Hashable, Sendable, CaseIterable {
    case onednn
    case openblas
  }

  /// What activations are kept in, and what convolutions multiply. Sums, statistics, weights, their gradients and the
  /// optimiser are float32 (or wider) in both.
  public enum Precision: String, Hashable, Sendable, CaseIterable {
    case float32
    case bf16
  }

  public init() {}
}

/// A step's batch is `lanes · clipsPerLane` clips. Lanes are a part of the recipe, never of the cluster.
public struct BatchRecipe: Hashable, Sendable {
  /// Micro-batches of a step (V); also the most workers' threads that can share one.
  public var lanes = 8
  /// Clips of a micro-batch, over which batch norm takes its statistics.
  public var clipsPerLane = 4

  public var clips: Int { lanes * clipsPerLane }

  public init() {}
}

/// Where the clips are and how frames are taken from them.
public struct DataRecipe: Hashable, Sendable {
  public enum Sampling: String, Hashable, Sendable, CaseIterable {
    case uniform
    case dense
  }

  /// How the lists are written; the names are those of `AnnotationFormats`.
  public var format = "kinetics"
  /// The data set's folder; `data=PATH` in the hosts file replaces it on a host.
  public var path = "."
  /// Annotations, relative to `path`.
  public var trainList = "train.csv"
  public var validationList = "validation.csv"
  /// The folders of the videos, relative to `path`.
  public var trainVideos = "train"
  public var validationVideos = "validation"
  /// A list of class names, one a line; the sorted labels of the training list where empty.
  public var labels = ""
  public var sampling = Sampling.uniform
  /// `dense`: source frames between two sampled ones.
  public var denseStride = 4
  /// Mirror half of the training clips. Wrong if left and right are different classes.
  public var flip = true
  /// Training crops of several scales; the whole centre otherwise.
  public var multiScale = true
  /// Put each clip's frames in a random order: an ablation that removes time.
  public var shuffleFrames = false
  /// The part of an epoch's clips that may be left out because nobody can decode them; eight always may.
  public var maximumLost = 0.01
  /// Threads that decode ahead in each worker.
  public var decodeThreads = 1
  /// Views of a validation clip, averaged: clips in time × crops in space (1, 3, 5 or 10).
  public var evaluationClips = 1
  public var evaluationCrops = 1

  public init() {}
}

/// The exchange of gradients.
public struct ExchangeRecipe: Hashable, Sendable {
  /// Bits of a quantised gradient below the RMS of the step's sum: the dial between fidelity and bandwidth.
  public var gradientBits = 10
  /// Values of a compressed chunk.
  public var chunkValues = 65_536
  /// Values of a bucket; the first few, which are complete last, are smaller.
  public var bucketValues = 1_048_576
  /// Whether chunks are compressed.
  public var codec = Codec.auto
  /// Whether workers on one machine read one another's sums in memory instead of sending them.
  public var sharedMemory = true
  /// What to do about a gradient that is not finite.
  public var nonFinite = NonFinite.stop

  public enum Codec: String, Hashable, Sendable, CaseIterable {
    /// Each link by what it was measured to gain: LZ4, or 16 bits where they are enough.
    case auto
    case lz4
    case none
  }

  public enum NonFinite: String, Hashable, Sendable, CaseIterable {
    case stop
    case skip
  }

  public init() {}
}

/// When to write checkpoints.
public struct CheckpointRecipe: Hashable, Sendable {
  /// Steps between checkpoints; 0 for once an epoch.
  public var everySteps = 0
  /// How many checkpoints are kept.
  public var keep = 3

  public init() {}
}

/// Timeouts and limits for faults.
public struct FaultRecipe: Hashable, Sendable {
  /// Seconds between heartbeats.
  public var heartbeatSeconds = 0.25
  /// Seconds without a heartbeat after which a worker is suspected, and evicted.
  public var suspectSeconds = 1.0
  public var evictSeconds = 3.0
  /// Seconds after which a worker that was evicted for its silence is replaced; until then it may come back.
  public var returnSeconds = 60.0
  /// Seconds without any progress after which a worker that beats, but does not wait for another, counts as hung.
  public var hangSeconds = 60.0
  /// Seconds without an acknowledgement after which a link between two workers counts as broken.
  public var linkSeconds = 3.0
  /// Seconds to wait at the start for all workers of the hosts file, before training starts with those that joined.
  public var joinSeconds = 60.0
  /// Seconds without a coordinator after which a worker whose standard input is closed ends.
  public var orphanSeconds = 60.0
  /// Seconds that training pauses while no worker can read its data, before the run ends.
  public var dataSeconds = 600.0
  /// Times in a row that a rank is started again without having taken part in a step.
  public var restarts = 5

  public init() {}
}
