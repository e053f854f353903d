// The running average of the weights as a model of its own.
import Foundation
import Shared

extension CheckpointFiles {
  /// Before a parameter's name, the name of its running average in trainer.safetensors.
  public static let averagePrefix = "ema."

  /// The model file with the running average (`optimizer.ema`) in the parameters' places. Running statistics are those
  /// of the weights.
  ///
  /// - Throws: `CheckpointError` where the state has no average; `SharedError` where the files are no safetensors.
  public func averagedModel() throws -> Data {
    let model = try SafeTensors(self.model, origin: Self.modelName)
    let trainer = try SafeTensors(self.trainer, origin: Self.trainerName)
    guard trainer.entries.keys.contains(where: { $0.hasPrefix(Self.averagePrefix) }) else {
      throw CheckpointError(
        badData: "has no average of the weights; only a run whose recipe has 'optimizer.ema' keeps one",
        path: Self.trainerName)
    }
    var averaged = SafeTensorsWriter()
    averaged.metadata = model.metadata
    for (name, entry) in model.entries.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      let average = Self.averagePrefix + name
      let values =
        trainer.entries[average] == nil
        ? try model.floats(name) : try trainer.floats(average, shape: entry.shape)
      averaged.add(name, .float32, shape: entry.shape, values)
    }
    return averaged.bytes()
  }
}
