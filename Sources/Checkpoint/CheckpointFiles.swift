// The bytes of a checkpoint, and where a checkpoint lies on disk.
import Foundation

/// The exact bytes of a checkpoint's two files: functions of the training state alone.
public struct CheckpointFiles: Equatable, Sendable {
  public static let modelName = "model.safetensors"
  public static let trainerName = "trainer.safetensors"
  static let names = [modelName, trainerName]

  /// Parameters and running statistics under the reference implementation's names.
  public var model: Data
  /// Momentum, quantisation scales, position in the run.
  public var trainer: Data

  public init(model: Data, trainer: Data) {
    self.model = model
    self.trainer = trainer
  }
}

/// A checkpoint on disk.
public struct StoredCheckpoint: Hashable, Sendable {
  /// Steps that were applied before it was taken; the run continues with the step of this number.
  public let step: Int
  public let path: String
  /// SHA-256 of the manifest, which stands for the whole checkpoint.
  public let manifestDigest: String
  /// Bytes of its files, the manifest left out.
  public let bytes: Int

  public var modelPath: String { "\(path)/\(CheckpointFiles.modelName)" }
}
