// The record of a committed step.
import Shared

/// One rank's record of a step that it has applied. Everything but `share` is equal on all ranks.
public struct CommitRecord: Hashable, Sendable, Codable {
  public var generation: UInt32
  public var step: UInt64
  public var attempt: UInt8
  /// The digest of the reduced sum.
  public var digest: Digest128
  /// The digest of the state that the step started from.
  public var weights: Digest128
  /// The digest of the state that it led to.
  public var after: Digest128
  /// The mean loss over the step's clips.
  public var loss: Double
  public var top1: Int
  public var top5: Int
  public var clips: Int
  /// `ClipPairs` of the clips of all lanes, which the vote compared with what the ranks trained.
  public var clipPairs: Digest128
  public var learningRate: Double
  /// The step changed nothing, because its gradient was not finite and the recipe says to skip such steps.
  public var skipped: Bool
  public var share: Share

  /// One rank's share of the step.
  public struct Share: Hashable, Sendable, Codable {
    public var lanes: [Int]
    /// Bytes that its gradients would take uncompressed, and those that it sent.
    public var rawBytes: UInt64
    public var wireBytes: UInt64
    public var times: StepTimes

    public init(lanes: [Int], rawBytes: UInt64 = 0, wireBytes: UInt64 = 0, times: StepTimes = StepTimes()) {
      self.lanes = lanes
      self.rawBytes = rawBytes
      self.wireBytes = wireBytes
      self.times = times
    }
  }

  public init(
    generation: UInt32, step: UInt64, attempt: UInt8, digest: Digest128, weights: Digest128, after: Digest128,
    loss: Double, top1: Int, top5: Int, clips: Int, clipPairs: Digest128 = ClipPairs.none, learningRate: Double,
    skipped: Bool, share: Share
  ) {
    self.generation = generation
    self.step = step
    self.attempt = attempt
    self.digest = digest
    self.weights = weights
    self.after = after
    self.loss = loss
    self.top1 = top1
    self.top5 = top5
    self.clips = clips
    self.clipPairs = clipPairs
    self.learningRate = learningRate
    self.skipped = skipped
    self.share = share
  }
}
