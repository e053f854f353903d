// The training state: applies steps, and converts to and from a checkpoint's files.
import BLVNet
import Checkpoint
import Foundation
import Recipes
import Ring
import Shared

/// What a state depends on, besides the network: constant over a run.
public struct TrainingPlan: Sendable {
  public var seed: UInt64
  public var schedule: ScheduleRecipe
  /// The full rate of the schedule.
  public var learningRate: Double
  /// When the number of epochs was changed.
  public var revisions: [EpochRevision]
  /// How the epochs are cut into steps.
  public var steps: StepPlan
  public var gradientBits: Int
  /// Whether the loss has class weights.
  public var isWeighted: Bool
  /// Of the recipe and the clip index: a state only continues with the same ones.
  public var recipeDigest: String
  /// Whether a state whose recipe has this digest, of whatever version, is of the same recipe.
  public var matchesRecipe: @Sendable (String) -> Bool
  public var indexDigest: String
  /// What model files say of their network.
  public var model: ModelDescription

  /// - Parameter classes: their names.
  public init(_ recipe: Recipe, steps: StepPlan, indexDigest: String, classes: [String] = []) {
    model = ModelDescription(recipe, classes: classes)
    seed = recipe.seed
    schedule = recipe.schedule
    learningRate = recipe.optimizer.learningRate
    self.steps = steps
    gradientBits = recipe.exchange.gradientBits
    isWeighted = recipe.loss.isWeighted
    revisions = recipe.epochRevisions
    recipeDigest = recipe.digest
    matchesRecipe = { recipe.matches(digest: $0) }
    self.indexDigest = indexDigest
  }
}

/// The training state, which each step turns into the next. Equal on all ranks, bit for bit.
public final class TrainingState {
  private let plan: TrainingPlan
  private let slots: StateSlots
  /// Every step below is applied.
  public private(set) var step: UInt64 = 0
  /// Of all slots, before `step`.
  public private(set) var digest = Digest128(high: 0, low: 0)
  private var plateau = PlateauState()
  /// How often validations have reduced the rate, where it follows them. No part of the state: each generation says it.
  public var validationReductions = 0
  /// Fixed-point loss and clips of the present epoch so far.
  private var epochLoss: Int64 = 0
  private var epochClips: Int64 = 0
  private let averages: FloatStorage
  private let codec: TrainingStateCodec

  /// The model that training starts from, if the recipe names one.
  private let initial: InitialModel?

  public init(
    _ network: Network, _ rule: any UpdateRule, _ plan: TrainingPlan, settings: UpdateSettings = UpdateSettings(),
    initial: InitialModel? = nil
  ) {
    self.plan = plan
    self.initial = initial
    slots = StateSlots(network, rule, settings)
    averages = FloatStorage(count: network.layout.statisticCount)
    codec = TrainingStateCodec(slots.all, description: plan.model.metadata)
  }

  /// Whether training starts from a model's weights.
  public var hasInitialModel: Bool { initial != nil }

  public var parameters: FloatStorage { slots.parameters }
  public var statistics: FloatStorage { slots.statistics }
  /// Of each tensor's quantisation scale, for the next step.
  public var exponents: [Int32] { slots.exponents.array }

  /// The network's and the rule's initial values, and the weights of the initial model.
  public func initialise() {
    slots.initialise(seed: plan.seed)
    initial?.write(parameters: slots.parameters, statistics: slots.statistics)
    slots.beginAverage()
    step = 0
    plateau = PlateauState()
    (epochLoss, epochClips) = (0, 0)
    updateDigest()
  }

  private var epoch: Int { plan.steps.epoch(of: step) }

  /// The rate of step `step`.
  public var rate: Float {
    LearningRate(plan.schedule, base: plan.learningRate, revisions: plan.revisions).rate(
      step: Int(step), in: plan.steps,
      reductions: plan.schedule.followsValidation ? validationReductions : plateau.reductions)
  }

  /// Applies the reduced sum of step `step`, or nothing but the count where it is skipped.
  /// - Parameter exponents: those that the sum was quantised with.
  public func apply(_ sums: IntegerVectors, exponents quantised: [Int32], skipping: Bool) {
    let tally = LaneStatistics.tally(of: sums, isWeighted: plan.isWeighted)
    let stream = Digest128Stream()
    if !skipping, tally.clips > 0, tally.divisor > 0 {
      slots.apply(
        sums.gradients, quantised: quantised, clips: tally.clips, fullClips: plan.steps.fullClips(of: step + 1),
        gradientBits: plan.gradientBits, divisor: tally.divisor, rate: rate, step: step
      ) { tensor in
        let values = unsafe UnsafeMutableBufferPointer(rebasing: parameters.buffer[tensor.range])
        unsafe stream.update(UnsafeRawBufferPointer(values))
      }
      LaneStatistics.average(sums, clips: tally.clips, into: averages)
      slots.updateStatistics(averages)
      epochLoss &+= tally.fixedLoss
      epochClips += Int64(tally.clips)
    } else {
      unsafe stream.update(UnsafeRawBufferPointer(parameters.bytes))
    }
    step += 1
    if plan.steps.stepInEpoch(step) == 0 { endEpoch() }
    endDigest(stream)
  }

  private func endEpoch() {
    if epochClips > 0, !plan.schedule.followsValidation {
      let loss = FixedPoint.decode(epochLoss) / Double(epochClips)
      plateau.endEpoch(loss: loss, patience: plan.schedule.patience)
    }
    (epochLoss, epochClips) = (0, 0)
  }

  private func updateDigest() {
    let stream = Digest128Stream()
    unsafe stream.update(UnsafeRawBufferPointer(parameters.bytes))
    endDigest(stream)
  }

  /// - Parameter stream: has taken in the first slot, the parameters.
  private func endDigest(_ stream: borrowing Digest128Stream) {
    for slot in slots.all.dropFirst() { slot.values.update(stream) }
    digest = stream.finish()
  }

  // MARK: Files

  /// The state as the two files of a checkpoint: the same bytes for the same state, wherever.
  public func files() throws -> CheckpointFiles {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let state = TrainerState(
      step: Int(step), epoch: epoch, seed: plan.seed, recipeDigest: plan.recipeDigest, indexDigest: plan.indexDigest,
      extra: [
        "plateau": String(decoding: try encoder.encode(plateau), as: UTF8.self), "epoch_loss": String(epochLoss),
        "epoch_clips": String(epochClips),
      ])
    return codec.encode(state)
  }

  /// What a file may say, so that no later sum can overflow.
  private static let possibleSteps = 0...1 << 40
  private static let possibleClips: ClosedRange<Int64> = 0...1 << 48

  /// Takes a state from files; on an error it is as it was.
  /// - Throws: `SharedError(.badConfiguration)` where the state belongs to another recipe or other clips;
  ///   errors of the codec where the files are not what they should be.
  public func load(_ files: CheckpointFiles) throws {
    try codec.decode(files) { state in
      guard plan.matchesRecipe(state.recipeDigest), state.indexDigest == plan.indexDigest else {
        throw SharedError(
          .badConfiguration, "the state before step \(state.step) was trained with another recipe or other clips")
      }
      let kept = state.extra["plateau"].flatMap { try? JSONDecoder().decode(PlateauState.self, from: Data($0.utf8)) }
      guard let kept, kept.isPossible, let loss = state.extra["epoch_loss"].flatMap(Int64.init),
        let clips = state.extra["epoch_clips"].flatMap(Int64.init), Self.possibleClips.contains(clips),
        Self.possibleSteps.contains(state.step)
      else { throw SharedError(.badData, "the state before step \(state.step) lacks a possible place in its schedule") }
      step = UInt64(state.step)
      plateau = kept
      (epochLoss, epochClips) = (loss, clips)
    }
    updateDigest()
  }

  /// Takes the model's slots alone, for evaluation.
  public func loadModel(_ model: Data, origin: String, step: UInt64) throws {
    try codec.decodeModel(model, origin: origin)
    self.step = step
    updateDigest()
  }
}
