// What a coordinator is to do, and what its machine is told of it.
import BLVNet
import CoordinatorCore
import Dataset
import Foundation
import Recipes
import Shared
import Wire

/// A training, or an evaluation alone.
struct RunPlan {
  let recipe: Recipe
  let indexes: Indexes
  var lastStep: UInt64
  /// The identity of the run.
  var run = ""
  /// The model that training starts from, if the recipe names one.
  var initialModel: Data?
  /// Evaluates this model and trains nothing.
  var evaluateOnly: Data?

  /// Whether an evaluation alone gives each clip's scores: those of more classes do not fit into a message.
  var givesScores: Bool { recipe.model.classes <= 200_000 }

  /// The most scores that are kept for a mean average precision: 4 GB.
  private static let mostScores = 1 << 30

  /// - Throws: `SharedError(.badConfiguration)` if the scores of the validation clips, which the mean average precision
  ///   is computed from, are too many.
  func requireFewScores() throws {
    let clips = indexes.validation.clips.count
    let evaluated = recipe.validation.clips > 0 ? min(clips, recipe.validation.clips) : clips
    guard recipe.loss.kind == .binary, evaluated > Self.mostScores / recipe.model.classes else { return }
    throw SharedError(
      .badConfiguration,
      "the mean average precision needs the scores of all validation clips in memory, and \(evaluated) clips of "
        + "\(recipe.model.classes) classes are too many; set 'validation.clips' to at most "
        + "\(Self.mostScores / recipe.model.classes)")
  }

  /// How the epochs are cut into steps.
  let steps: StepPlan

  init(recipe: Recipe, indexes: Indexes, lastStep: UInt64, evaluateOnly: Data? = nil) {
    (self.recipe, self.indexes, self.lastStep, self.evaluateOnly) = (recipe, indexes, lastStep, evaluateOnly)
    steps = recipe.steps(clips: indexes.train.clips.count)
  }

  /// The run's whole length.
  var allSteps: UInt64 { UInt64(steps.firstStep(ofEpoch: recipe.schedule.epochs)) }

  func settings(_ slots: [Slot], startsWorkers: Bool, indexes blobs: [BlobDescription] = [])
    -> CoordinatorMachine.Settings
  {
    let faults = recipe.faults
    var settings = CoordinatorMachine.Settings(
      ranks: slots.map(\.rank), lanes: recipe.batch.lanes, lastStep: lastStep)
    settings.allSteps = allSteps
    if let network = try? Network(recipe.model, engine: .openblas) {
      // Weights, the rule's slots, the running average, statistics and scales, each at most 8 bytes; and headers.
      settings.stateBytes = 8 * 8 * (network.layout.parameterCount + network.layout.statisticCount) + 64 << 20
    }
    settings.run = run
    settings.recipe = recipe.yaml()
    settings.indexes = blobs
    settings.localRanks = Set(slots.filter { $0.isHere }.map(\.rank))
    settings.startsWorkers = startsWorkers
    settings.restarts = faults.restarts
    settings.host = ProcessInfo.processInfo.hostName
    settings.joinWindow = .seconds(faults.joinSeconds)
    settings.suspectAfter = .seconds(faults.suspectSeconds)
    settings.evictAfter = .seconds(faults.evictSeconds)
    settings.closedAfter = .seconds(3 * faults.heartbeatSeconds)
    settings.returnAfter = .seconds(faults.returnSeconds)
    settings.hangAfter = .seconds(faults.hangSeconds)
    settings.dataWait = .seconds(faults.dataSeconds)
    settings.epoch.plan = steps
    settings.epoch.maximumLost = recipe.data.maximumLost
    settings.validationClips = indexes.validation.clips.count
    settings.classes = indexes.train.classes.count
    settings.validationSample = validationSample(
      of: settings.validationClips, wanted: recipe.validation.clips, seed: recipe.seed)
    settings.measuredGroups = measuredGroups(
      of: indexes.train.clips.count, wanted: recipe.validation.preciseNorm, size: recipe.batch.clipsPerLane,
      seed: recipe.seed)
    settings.evaluateBefore = validationPoints
    settings.evaluationRules.stopAfter = recipe.validation.stopAfter
    settings.evaluationRules.patience = recipe.schedule.followsValidation ? recipe.schedule.patience : nil
    settings.evaluatesOnly = evaluateOnly != nil
    let measuresPrecision = recipe.loss.kind == .binary
    settings.scoredClasses = measuresPrecision || evaluateOnly != nil && givesScores ? recipe.model.classes : nil
    if measuresPrecision {
      settings.classesOfClip = { [validation = indexes.validation] in validation.clips[$0].labels }
    }
    return settings
  }

  /// The steps before which the state is evaluated: the ends of every so many epochs, but for the last.
  var validationPoints: Set<UInt64> { evaluateOnly == nil ? recipe.validationPoints(steps) : [] }
}

extension Recipe {
  /// The steps of a training before which the state is evaluated.
  func validationPoints(_ steps: StepPlan) -> Set<UInt64> {
    let every = validation.everyEpochs
    guard every > 0 else { return [] }
    return Set(
      stride(from: every, to: schedule.epochs, by: every).map { UInt64(steps.firstStep(ofEpoch: $0)) }
        .filter { $0 >= firstValidation })
  }
}
