// A run's position, apart from its tensors: what `trainer.safetensors` keeps as text.

/// The part of the training state that is not tensors.
public struct TrainerState: Hashable, Sendable {
  /// Steps that were applied; the next step has this number.
  public var step: Int
  /// The epoch of the next step.
  public var epoch: Int
  public var seed: UInt64
  /// Of the recipe and of the clip index: a run only continues with the same ones.
  public var recipeDigest: String
  public var indexDigest: String
  /// Other state by name, such as a plateau schedule's. Must be a function of the training alone: no time, no host.
  public var extra: [String: String]

  public init(
    step: Int, epoch: Int, seed: UInt64, recipeDigest: String, indexDigest: String, extra: [String: String] = [:]
  ) {
    self.step = step
    self.epoch = epoch
    self.seed = seed
    self.recipeDigest = recipeDigest
    self.indexDigest = indexDigest
    self.extra = extra
  }
}
