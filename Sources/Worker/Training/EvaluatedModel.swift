// A model that is evaluated: the run's present one, or one that it has passed; with running or with measured
// statistics.
import Foundation
import Shared
import Training
import Wire

/// Parameters and running statistics.
struct EvaluatedModel: Sendable {
  let parameters: FloatStorage
  let statistics: FloatStorage

  init(parameters: FloatStorage, statistics: FloatStorage) {
    self.parameters = parameters
    self.statistics = statistics
  }

  /// Reads a model into memory of its own.
  /// - Throws: `CheckpointError` or `SharedError` where it is not a model of the run's network.
  init(_ context: RunContext, _ model: Data, origin: String) throws {
    let state = TrainingState(context, initial: nil)
    try state.loadModel(model, origin: origin, step: 0)
    self.init(parameters: state.parameters, statistics: state.statistics)
  }

  /// The same weights with the batch norms' statistics that were measured.
  /// - Throws: `SharedError` where they are not of the run's network.
  func with(norms bytes: Data, _ context: RunContext) throws -> EvaluatedModel {
    guard let norms = MeasuredNorms(bytes: Array(bytes)),
      let precise = PreciseNorms.statistics(
        norms.sums, clips: norms.clips, context.network.layout, running: statistics)
    else { throw SharedError(.badData, "the measured batch norms are not those of the run's network") }
    return EvaluatedModel(parameters: parameters, statistics: precise)
  }
}
