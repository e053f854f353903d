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

  public var id: ID
  /// Positions in the validation index.
  public var clips: [Int]
  /// Whether the result is to have each clip's scores.
  public var wantsScores: Bool
  /// Whether the state is one that the run has passed: its model is fetched from the coordinator, which has the checkpoint.
  public var isPassed: Bool

  public init(_ id: ID, clips: [Int], wantsScores: Bool = false, isPassed: Bool = false) {
    self.isPassed = isPassed
    self.id = id
    self.clips = clips
    self.wantsScores = wantsScores
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

  /// Of a whole evaluation, where it is measured: the mean average precision, in units of `AveragePrecision.one`. No task
  /// has one.
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
