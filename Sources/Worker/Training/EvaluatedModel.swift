// A model that is evaluated: the run's present one, or one that it has passed.
import Foundation
import Shared
import Training

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
    let state = TrainingState(context)
    try state.loadModel(model, origin: origin, step: 0)
    self.init(parameters: state.parameters, statistics: state.statistics)
  }
}
