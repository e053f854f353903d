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

  public init(_ id: ID, clips: [Int]) {
    self.id = id
    self.clips = clips
  }
}

/// Sums over the clips of a task.
public struct EvaluationResult: Hashable, Sendable, Codable {
  public var clips = 0
  public var top1 = 0
  public var top5 = 0
  /// Clips that could not be decoded, with the reason.
  public var failed: [String] = []

  public init() {}
}
