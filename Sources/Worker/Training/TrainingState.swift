// The state that training changes: weights, momentum, running statistics, scales; applying a step; as files and back.
import BLVNet
import Checkpoint
import Foundation
import Ring
import Shared

/// What a step turns into the next state. Equal on all ranks, bit for bit.
final class TrainingState {
  private let context: RunContext
  let parameters: FloatStorage
  private let momentum: FloatStorage
  let statistics: FloatStorage
  /// Of each tensor's quantisation scale, for the next step.
  private(set) var exponents: [Int32]
  /// Every step below is applied.
  private(set) var step: UInt64 = 0
  /// Of everything above, before `step`.
  private(set) var digest = Digest128(high: 0, low: 0)
  private var plateau = PlateauState()
  /// Fixed-point loss and clips of the present epoch so far.
  private var epochLoss: Int64 = 0
  private var epochClips: Int64 = 0
  private let averages: FloatStorage
  private let codec: TrainingStateCodec

  init(_ context: RunContext) {
    self.context = context
    let layout = context.network.layout
    parameters = FloatStorage(count: layout.parameterCount)
    momentum = FloatStorage(count: layout.parameterCount)
    statistics = FloatStorage(count: layout.statisticCount)
    averages = FloatStorage(count: layout.statisticCount)
    exponents = Array(repeating: GradientScale.initialExponent, count: layout.parameters.count)
    func named(_ tensor: TensorSpec) -> NamedTensor {
      NamedTensor(name: tensor.name, shape: tensor.shape, offset: tensor.offset, count: tensor.count)
    }
    codec = TrainingStateCodec(parameters: layout.parameters.map(named), statistics: layout.statistics.map(named))
  }

  /// The published initial values.
  func initialise() {
    parameters.copy(from: context.network.initialParameters(seed: context.recipe.seed))
    statistics.copy(from: context.network.initialStatistics())
    momentum.zero()
    exponents = exponents.map { _ in GradientScale.initialExponent }
    step = 0
    plateau = PlateauState()
    (epochLoss, epochClips) = (0, 0)
    updateDigest()
  }

  /// The rate of step `step`.
  var rate: Float {
    context.learningRate.rate(
      epoch: context.epoch(of: step), stepInEpoch: context.stepInEpoch(step),
      stepsPerEpoch: context.shards.stepsPerEpoch,
      reductions: plateau.reductions)
  }

  /// Applies the reduced sum of step `step`, or nothing but the count where it is skipped.
  /// - Parameter exponents: those that the sum was quantised with.
  func apply(_ sums: IntegerVectors, exponents quantised: [Int32], skipping: Bool) {
    let tally = LaneStatistics.tally(of: sums)
    let stream = Digest128Stream()
    if !skipping, tally.clips > 0 {
      Optimiser.applyReduced(
        parameters: parameters, momentum: momentum, sum: sums.gradients, exponents: quantised, clips: tally.clips,
        rate: rate, context.recipe.optimizer, context.network.layout
      ) { index, tensor in
        let values = unsafe UnsafeMutableBufferPointer(rebasing: parameters.buffer[tensor.range])
        unsafe stream.update(UnsafeRawBufferPointer(values))
        exponents[index] = GradientScale.exponent(
          after: sums.gradients, tensor.range, quantised: quantised[index], fullClips: context.recipe.batch.clips,
          clips: tally.clips, gradientBits: context.recipe.exchange.gradientBits)
      }
      LaneStatistics.average(sums, clips: tally.clips, into: averages)
      Optimiser.updateStatistics(running: statistics, value: averages)
      epochLoss &+= tally.fixedLoss
      epochClips += Int64(tally.clips)
    } else {
      unsafe stream.update(UnsafeRawBufferPointer(parameters.bytes))
    }
    step += 1
    if context.stepInEpoch(step) == 0 { endEpoch() }
    endDigest(stream)
  }

  private func endEpoch() {
    if epochClips > 0 {
      let loss = FixedPoint.decode(epochLoss) / Double(epochClips)
      plateau.endEpoch(loss: loss, patience: context.recipe.schedule.patience)
    }
    (epochLoss, epochClips) = (0, 0)
  }

  private func updateDigest() {
    let stream = Digest128Stream()
    unsafe stream.update(UnsafeRawBufferPointer(parameters.bytes))
    endDigest(stream)
  }

  /// - Parameter stream: has taken in the parameters.
  private func endDigest(_ stream: borrowing Digest128Stream) {
    unsafe stream.update(UnsafeRawBufferPointer(momentum.bytes))
    unsafe stream.update(UnsafeRawBufferPointer(statistics.bytes))
    unsafe exponents.withUnsafeBytes { unsafe stream.update($0) }
    digest = stream.finish()
  }

  // MARK: Files

  /// The state as the two files of a checkpoint: the same bytes for the same state, wherever.
  func files() throws -> CheckpointFiles {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let state = TrainerState(
      step: Int(step), epoch: context.epoch(of: step), seed: context.recipe.seed, recipeDigest: context.recipeDigest,
      indexDigest: context.indexDigest, scaleExponents: exponents,
      extra: [
        "plateau": String(decoding: try encoder.encode(plateau), as: UTF8.self), "epoch_loss": String(epochLoss),
        "epoch_clips": String(epochClips),
      ])
    return codec.encode(parameters: parameters, statistics: statistics, momentum: momentum, state: state)
  }

  /// Takes a state from files.
  /// - Throws: `SharedError(.badConfiguration)` where the state belongs to another recipe or other clips;
  ///   errors of the codec where the files are not what they should be.
  func load(_ files: CheckpointFiles) throws {
    let state = try codec.decode(files, parameters: parameters, statistics: statistics, momentum: momentum)
    guard context.recipe.matches(digest: state.recipeDigest), state.indexDigest == context.indexDigest else {
      throw SharedError(
        .badConfiguration, "the state before step \(state.step) was trained with another recipe or other clips")
    }
    exponents = state.scaleExponents
    step = UInt64(state.step)
    let kept = state.extra["plateau"].flatMap { try? JSONDecoder().decode(PlateauState.self, from: Data($0.utf8)) }
    guard let kept, let loss = state.extra["epoch_loss"].flatMap(Int64.init),
      let clips = state.extra["epoch_clips"].flatMap(Int64.init)
    else { throw SharedError(.badData, "the state before step \(state.step) lacks its schedule") }
    plateau = kept
    (epochLoss, epochClips) = (loss, clips)
    updateDigest()
  }

  /// Takes weights and statistics alone, for evaluation.
  func loadModel(_ model: Data, origin: String, step: UInt64) throws {
    try codec.decodeModel(model, origin: origin, parameters: parameters, statistics: statistics)
    self.step = step
    updateDigest()
  }
}
