// A part of an evaluation, and its result.
import Shared

public struct EvaluationTask: Hashable, Sendable, Codable {
  public struct ID: Hashable, Sendable, Codable {
    /// The state before this step is evaluated.
    public var step: UInt64
    /// The digest of that state; nil where nobody knows it.
    public var state: Digest128?
    /// Counts up from 0 within an evaluation.
    public var number: Int

    public init(step: UInt64, state: Digest128?, number: Int) {
      self.step = step
      self.state = state
      self.number = number
    }
  }

  /// Which statistics batch norms have.
  public enum Norms: String, Sendable, Codable {
    /// Those that training left.
    case running
    /// The task measures those of its clips, which are of the training index, as one batch.
    case measured
    /// What was measured in all, which is fetched from the coordinator.
    case precise
  }

  public var id: ID
  /// Positions in the validation index, or in the training index.
  public var clips: [Int]
  /// Whether the result is to have each clip's scores.
  public var wantsScores: Bool
  /// Whether the state is one that the run has passed: its model is fetched from the coordinator, which has the
  /// checkpoint.
  public var isPassed: Bool

  public var norms: Norms

  public init(
    _ id: ID, clips: [Int], wantsScores: Bool = false, isPassed: Bool = false, norms: Norms = .running
  ) {
    self.norms = norms
    self.isPassed = isPassed
    self.id = id
    self.clips = clips
    self.wantsScores = wantsScores
  }

  /// What has to be fetched for it from the coordinator.
  public var blobs: [String] {
    (isPassed ? [StateBlobs.model(id.step)] : []) + (norms == .precise ? [StateBlobs.norms(id.step)] : [])
  }
}

/// Sums over the clips of a task.
public struct EvaluationResult: Hashable, Sendable, Codable {
  public var clips = 0
  /// Clips of which a class is ranked first, and among the first five.
  public var top1 = 0
  public var top5 = 0
  /// The clips' losses, in units of 2^-32: an integer, so that no order of adding changes it.
  public var loss: Int64 = 0
  /// Clips that could not be decoded, with the reason.
  public var failed: [String] = []
  /// Of each clip that could be decoded, in the order of the task, where they are wanted.
  public var scores: [ClipScores] = []

  /// Of a task that measures batch norms: the sums over its clips of means and mean squares, in units of 2^-32.
  public var moments: [Int64] = []
  /// Of a whole evaluation, where it is measured: the mean average precision, in units of `AveragePrecision.one`. No
  /// task has one.
  public var meanPrecision: Int64?

  public init() {}

  /// The most that one clip adds to `loss`. A network that has diverged comes to this.
  public static let largestLoss: Int64 = 1024 << 32

  /// The mean loss, in nats; 0 without clips.
  public var meanLoss: Double { clips == 0 ? 0 : Double(loss) * 0x1p-32 / Double(clips) }

  /// Adds the sums of other clips. All else stays.
  public mutating func add(_ other: EvaluationResult) {
    clips += other.clips
    top1 += other.top1
    top5 += other.top5
    let (sum, overflow) = loss.addingReportingOverflow(other.loss)
    loss = overflow ? .max : sum
  }
}

/// What the network says of a clip.
public struct ClipScores: Hashable, Sendable, Codable {
  /// Its position in the validation index.
  public var clip: Int
  /// The logits of the classes, means over the clip's views.
  public var values: [Float]

  public init(clip: Int, values: [Float]) {
    self.clip = clip
    self.values = values
  }
}

/// What the batch norms of a state were measured to be: sums over training clips of means and mean squares, in units of
/// 2^-32. It is an artefact of an evaluation, and never of training.
public struct MeasuredNorms: Hashable, Sendable {
  public private(set) var clips = 0
  /// In the order of the network's statistics.
  public private(set) var sums: [Int64] = []

  /// The most of them: a task's must fit into a message.
  public static let most = 190_000

  public init() {}

  public mutating func add(_ result: EvaluationResult) {
    clips += result.clips
    if sums.isEmpty {
      sums = result.moments
    } else {
      for (i, value) in result.moments.enumerated() { sums[i] &+= value }
    }
  }

  public init?(bytes: [UInt8]) {
    guard bytes.count >= 8, bytes.count % 8 == 0 else { return nil }
    let words = stride(from: 0, to: bytes.count, by: 8).map { place in
      Int64(bitPattern: (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[place + $1]) << UInt64(8 * $1) })
    }
    guard let clips = Int(exactly: words[0]), clips > 0 else { return nil }
    (self.clips, sums) = (clips, Array(words.dropFirst()))
  }

  /// The clips, then the sums: 8 bytes each, little-endian.
  public var bytes: [UInt8] {
    ([Int64(clips)] + sums).flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> Int64(8 * $0)) } }
  }
}
