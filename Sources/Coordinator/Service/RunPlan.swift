// What a coordinator is to do, and what its machine is told of it.
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
    settings.run = run
    settings.recipe = recipe.yaml()
    settings.indexes = blobs
    settings.localRanks = Set(slots.filter { isLocal($0.host) }.map(\.rank))
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
    settings.evaluateBefore = validationPoints
    settings.evaluationRules.stopAfter = recipe.validation.stopAfter
    settings.evaluationRules.patience = recipe.schedule.followsValidation ? recipe.schedule.patience : nil
    settings.evaluatesOnly = evaluateOnly != nil
    settings.scoredClasses = evaluateOnly == nil || !givesScores ? nil : recipe.model.classes
    return settings
  }

  /// The steps before which the state is evaluated: the ends of every so many epochs, but for the last.
  var validationPoints: Set<UInt64> {
    let every = recipe.validation.everyEpochs
    guard every > 0, evaluateOnly == nil else { return [] }
    return Set(
      stride(from: every, to: recipe.schedule.epochs, by: every).map { UInt64(steps.firstStep(ofEpoch: $0)) }
        .filter { $0 >= recipe.firstValidation })
  }
}
