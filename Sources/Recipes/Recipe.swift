// The recipe: everything that decides the bits of a run, and how the run is conducted.

/// A whole recipe. `RecipeFields.swift` says how each value is written in YAML, and which values it may have.
public struct Recipe: Hashable, Sendable {
  /// The run's name; its directory is `runs/NAME` by default.
  public var name = "run"
  /// The seed of everything random in a run.
  public var seed: UInt64 = 1
  public var engine = Engine.onednn
  public var precision = Precision.float32
  /// With `bf16`: convert to float32 for the convolutions, so that processors without bf16 instructions can take part.
  public var emulateBF16 = false
  public var initial = InitialRecipe()
  public var model = ModelRecipe()
  public var optimizer = OptimizerRecipe()
  public var loss = LossRecipe()
  public var schedule = ScheduleRecipe()
  public var batch = BatchRecipe()
  public var data = DataRecipe()
  public var validation = ValidationRecipe()
  public var exchange = ExchangeRecipe()
  public var checkpoint = CheckpointRecipe()
  public var faults = FaultRecipe()
  /// The changes since the run began, oldest first. The values above include them.
  public var revisions: [RecipeRevision] = []

  /// The engine that computes the convolutions.
  public enum Engine: String, Hashable, Sendable, CaseIterable {
    case onednn
    case openblas
  }

  /// The format of activations and of the operands of convolutions. Sums, statistics, weights, their gradients and the
  /// optimizer use float32 or wider in both.
  public enum Precision: String, Hashable, Sendable, CaseIterable {
    case float32
    case bf16
  }

  public init() {}
}

/// The model that training starts from. Tensors that it lacks, or all if there is none, have the initial values of the
/// network.
public struct InitialRecipe: Hashable, Sendable {
  /// A safetensors file, a checkpoint or a run directory; empty for none.
  public var path = ""
  /// SHA-256 of the file's bytes. The coordinator fills it in when a run begins: the bits depend on it, not on the
  /// path.
  public var sha256 = ""

  public init() {}
}

/// A step's batch: `lanes · clipsPerLane` clips. Lanes belong to the recipe, never to the cluster.
public struct BatchRecipe: Hashable, Sendable {
  /// Micro-batches of a step (V). No more threads than this can share a step.
  public var lanes = 8
  /// Clips of a micro-batch. Batch norm takes its statistics over them.
  public var clipsPerLane = 4

  public var clips: Int { lanes * clipsPerLane }

  public init() {}
}

/// Where the clips are, and how frames are sampled from them.
public struct DataRecipe: Hashable, Sendable {
  public enum Sampling: String, Hashable, Sendable, CaseIterable {
    case uniform
    case dense
  }

  /// The format of the lists, by its name in `AnnotationFormats`; `auto` for the one that recognises them.
  public var format = "auto"
  /// The data set's folder; `data=PATH` in the hosts file replaces it on a host.
  public var path = "."
  /// Annotations, relative to `path`.
  public var trainList = "train.csv"
  public var validationList = "validation.csv"
  /// The folders of the videos, relative to `path`.
  public var trainVideos = "train"
  public var validationVideos = "validation"
  /// A file of class names, with or without their numbers. If empty, the classes are the sorted labels of the training
  /// list.
  public var labels = ""
  /// Which images of a folder are a clip's frames: an `ImageNameTemplate`. Empty: whatever has a number.
  public var imageNames = ""
  /// Without lists: the part of the clips that is kept for validation, if validation has no folder of its own.
  public var validationFraction = 0.1
  public var sampling = Sampling.uniform
  /// `dense`: source frames between two sampled ones.
  public var denseStride = 4
  /// `uniform`: frames that training takes of each segment of a clip. It divides `model.groups`.
  public var framesPerGroup = 1
  /// Whether to mirror half of the training clips. Wrong if left and right are different classes.
  public var flip = true
  /// Whether training crops have several scales; otherwise the centre is used.
  public var multiScale = true
  /// Whether an epoch draws as many clips of each class, instead of each clip once.
  public var balanced = false
  /// Instead of `multiScale`: the least part of the picture that a crop of any side and place has; 0 for none.
  public var cropArea = 0.0
  /// How much brightness, contrast and saturation change at most, and hue, in turns; 0 for nothing.
  public var colourJitter = 0.0
  public var hueJitter = 0.0
  /// The probability that a box of a clip is erased.
  public var erasing = 0.0
  /// The parameter of the Beta distribution from which the shares of two mixed clips are drawn, and those of two clips
  /// that swap a box; 0 for neither.
  public var mixup = 0.0
  public var cutmix = 0.0
  /// Whether to shuffle each clip's frames: an ablation that removes time.
  public var shuffleFrames = false
  /// The fraction of an epoch's clips that may be excluded because no worker can decode them. Eight always may.
  public var maximumLost = 0.01
  /// Whether a file that is cut off is taken as the shorter video that is there.
  public var acceptTruncated = false
  /// What a clip may cost: pixels of a picture, packets (or images) and bytes of a file, and seconds of processor time
  /// for decoding it once.
  public var clipPixels = 67_108_864
  public var clipPackets = 4_000_000
  public var clipBytes = 1_099_511_627_776
  public var clipSeconds = 1800.0
  /// The most bytes that a host keeps of shards from the web.
  public var cacheBytes = 50_000_000_000
  /// Threads that prefetch clips in each worker.
  public var decodeThreads = 1
  /// Views of a validation clip, averaged: clips in time × crops in space (1, 3, 5 or 10).
  public var evaluationClips = 1
  public var evaluationCrops = 1
  /// Whether evaluation scales the shorter side to S/0.875 before it crops S×S, or to S.
  public var evaluationScaleUp = true

  public init() {}
}

/// The evaluations of the validation clips while training goes on.
public struct ValidationRecipe: Hashable, Sendable {
  /// Epochs from one to the next; 0 for only one, at the end of training.
  public var everyEpochs = 1
  /// How many of the validation clips are evaluated, drawn by the seed; 0 for all.
  public var clips = 0
  /// Training ends after so many in a row that found no better model; 0 for never.
  public var stopAfter = 0
  /// Over how many training clips the batch norms' statistics are measured for each evaluation; 0 for the running ones.
  public var preciseNorm = 0

  public init() {}
}

/// The exchange of gradients.
public struct ExchangeRecipe: Hashable, Sendable {
  /// Bits of a quantised gradient below the RMS of the step's sum: more bits are more exact, fewer travel faster.
  public var gradientBits = 10
  /// Values of a compressed chunk.
  public var chunkValues = 65_536
  /// Values of a bucket. The first few, which are complete last, are smaller.
  public var bucketValues = 1_048_576
  /// How chunks are compressed.
  public var codec = Codec.auto
  /// Whether workers on one machine use shared memory instead of sending their sums.
  public var sharedMemory = true
  /// What to do about a gradient that is not finite.
  public var nonFinite = NonFinite.stop

  public enum Codec: String, Hashable, Sendable, CaseIterable {
    /// Each link measures what it gains: LZ4, or 16-bit values where they suffice.
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
  /// Seconds without a heartbeat after which a worker is suspected, and after which it is evicted.
  public var suspectSeconds = 1.0
  public var evictSeconds = 3.0
  /// Seconds after which a silent worker that was evicted is replaced. Until then it may come back.
  public var returnSeconds = 60.0
  /// Seconds without progress after which a worker counts as hung, if it sends heartbeats and waits for nobody.
  public var hangSeconds = 60.0
  /// Seconds without an acknowledgement after which a link between two workers counts as broken.
  public var linkSeconds = 3.0
  /// Seconds to wait for all workers of the hosts file before training starts with those that have joined.
  public var joinSeconds = 60.0
  /// Seconds without a coordinator after which a worker ends, if its standard input is closed.
  public var orphanSeconds = 60.0
  /// Seconds that training pauses for while no worker can read its data. Then the run ends.
  public var dataSeconds = 600.0
  /// How often in a row a rank is restarted without having taken part in a step.
  public var restarts = 5

  public init() {}
}
