// What a coordinator is to do, and what its machine is told of it.
import CoordinatorCore
import Foundation
import Shared
import VideoIndex

/// A training, or an evaluation alone.
struct RunPlan {
  var recipe: Recipe
  var indexes: Indexes
  var lastStep: UInt64
  /// The identity of the run.
  var run = ""
  /// Evaluates this model and trains nothing.
  var evaluateOnly: Data?

  var shards: StepShards {
    StepShards(
      count: indexes.train.clips.count, lanes: recipe.batch.lanes, clipsPerLane: recipe.batch.clipsPerLane)
  }

  func settings(_ fleet: WorkerFleet, indexes blobs: [BlobDescription]) -> CoordinatorMachine.Settings {
    let faults = recipe.faults
    var settings = CoordinatorMachine.Settings(
      ranks: fleet.slots.map(\.rank), lanes: recipe.batch.lanes, lastStep: lastStep)
    settings.run = run
    settings.recipe = recipe.yaml()
    settings.indexes = blobs
    settings.localRanks = Set(fleet.slots.filter { isLocal($0.host) }.map(\.rank))
    settings.startsWorkers = fleet.startsWorkers
    settings.restarts = faults.restarts
    settings.host = ProcessInfo.processInfo.hostName
    settings.joinWindow = .seconds(faults.joinSeconds)
    settings.suspectAfter = .seconds(faults.suspectSeconds)
    settings.evictAfter = .seconds(faults.evictSeconds)
    settings.closedAfter = .seconds(3 * faults.heartbeatSeconds)
    settings.returnAfter = .seconds(faults.returnSeconds)
    settings.hangAfter = .seconds(faults.hangSeconds)
    settings.validationClips = indexes.validation.clips.count
    settings.evaluatesOnly = evaluateOnly != nil
    return settings
  }
}
