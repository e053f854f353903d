// Where a run stands, apart from its numbers: what `trainer.safetensors` keeps as text.

/// The part of the training state that is not floats.
public struct TrainerState: Hashable, Sendable {
  /// Steps that were applied; the next step has this number.
  public var step: Int
  /// The epoch of the next step.
  public var epoch: Int
  public var seed: UInt64
  /// Of the recipe and of the clip index: a run only continues with the same ones.
  public var recipeDigest: String
  public var indexDigest: String
  /// One per parameter tensor, in checkpoint order: the exponent of its quantisation scale.
  public var scaleExponents: [Int32]
  /// Other state by name, such as a plateau schedule's. Must be a function of the training alone: no time, no host.
  public var extra: [String: String]

  public init(
    step: Int, epoch: Int, seed: UInt64, recipeDigest: String, indexDigest: String, scaleExponents: [Int32],
    extra: [String: String] = [:]
  ) {
    self.step = step
    self.epoch = epoch
    self.seed = seed
    self.recipeDigest = recipeDigest
    self.indexDigest = indexDigest
    self.scaleExponents = scaleExponents
    self.extra = extra
  }
}

/// A tensor's place in a flat storage.
public struct NamedTensor: Hashable, Sendable {
  public let name: String
  public let shape: [Int]
  /// Elements from the storage's start to the tensor's first.
  public let offset: Int
  /// Elements.
  public let count: Int

  public init(name: String, shape: [Int], offset: Int, count: Int) {
    precondition(shape.reduce(1, *) == count && offset >= 0, "\(name): \(count) elements for shape \(shape)")
    self.name = name
    self.shape = shape
    self.offset = offset
    self.count = count
  }
}
