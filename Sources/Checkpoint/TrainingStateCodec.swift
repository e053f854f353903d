// Turns flat storages into a checkpoint's two files and back.
import Foundation
import Shared

/// Encodes and decodes the training state of one network, whose tensors it is told.
///
/// Files are functions of the state: equal states give equal bytes.
///
/// - `model.safetensors`: parameters and running statistics under their names (float32).
/// - `trainer.safetensors`: `momentum.NAME` (float32) for each parameter, `trainer.scales` (int32), and the rest of
///   `TrainerState` as metadata, with the XXH3-128 of the model file that belongs to it.
public struct TrainingStateCodec: Sendable {
  public let parameters: [NamedTensor]
  /// Running means and variances.
  public let statistics: [NamedTensor]

  public init(parameters: [NamedTensor], statistics: [NamedTensor]) {
    self.parameters = parameters
    self.statistics = statistics
  }

  /// - Parameter momentum: laid out as the parameters are.
  public func encode(
    parameters: FloatStorage, statistics: FloatStorage, momentum: FloatStorage, state: TrainerState
  ) -> CheckpointFiles {
    precondition(state.scaleExponents.count == self.parameters.count, "one scale per parameter tensor")
    var model = SafeTensorsWriter()
    // Other readers of the format look for this before they hand tensors to PyTorch.
    model.metadata["format"] = "pt"
    add(self.parameters, of: parameters, to: &model)
    add(self.statistics, of: statistics, to: &model)
    let modelBytes = model.bytes()

    var trainer = SafeTensorsWriter()
    trainer.metadata = metadata(of: state)
    trainer.metadata[Key.model] = Digest128(of: modelBytes).description
    add(self.parameters, of: momentum, prefix: Key.momentum, to: &trainer)
    trainer.add(Key.scales, .int32, shape: [state.scaleExponents.count], state.scaleExponents)
    return CheckpointFiles(model: modelBytes, trainer: trainer.bytes())
  }

  /// Checks everything, then fills the storages; on an error they are as they were.
  /// - Throws: `CheckpointError` that names the first tensor or entry that does not fit, `SharedError` for bytes that
  ///   are not safetensors.
  public func decode(
    _ files: CheckpointFiles, parameters: FloatStorage, statistics: FloatStorage, momentum: FloatStorage
  ) throws -> TrainerState {
    let model = try SafeTensors(files.model, origin: CheckpointFiles.modelName)
    let trainer = try SafeTensors(files.trainer, origin: CheckpointFiles.trainerName)
    try check(model, CheckpointFiles.modelName, modelTensors)
    let scales = NamedTensor(name: Key.scales, shape: [self.parameters.count], offset: 0, count: self.parameters.count)
    try check(trainer, CheckpointFiles.trainerName, prefixed(self.parameters, Key.momentum), integers: [scales])
    let state = try state(from: trainer)
    guard trainer.metadata[Key.model] == Digest128(of: files.model).description else {
      throw CheckpointError(
        badData: "belongs to another model.safetensors; use both files of one checkpoint",
        path: CheckpointFiles.trainerName)
    }
    try copy(self.parameters, from: model, into: parameters)
    try copy(self.statistics, from: model, into: statistics)
    try copy(self.parameters, from: trainer, prefix: Key.momentum, into: momentum)
    return state
  }

  /// Reads only the model, for evaluation and prediction.
  /// - Parameter origin: what to call the bytes in an error, usually their path.
  /// - Throws: as `decode`.
  public func decodeModel(
    _ model: Data, origin: String, parameters: FloatStorage, statistics: FloatStorage
  ) throws {
    let file = try SafeTensors(model, origin: origin)
    try check(file, origin, modelTensors)
    try copy(self.parameters, from: file, into: parameters)
    try copy(self.statistics, from: file, into: statistics)
  }

  private var modelTensors: [NamedTensor] { parameters + statistics }
}

// MARK: - Tensors

extension TrainingStateCodec {
  private func add(
    _ tensors: [NamedTensor], of storage: FloatStorage, prefix: String = "", to file: inout SafeTensorsWriter
  ) {
    for tensor in tensors {
      precondition(tensor.offset + tensor.count <= storage.count, "\(tensor.name) lies outside its storage")
      let values = unsafe UnsafeBufferPointer(start: storage.base + tensor.offset, count: tensor.count)
      unsafe file.add(prefix + tensor.name, .float32, shape: tensor.shape, values)
    }
  }

  private func copy(
    _ tensors: [NamedTensor], from file: SafeTensors, prefix: String = "", into storage: FloatStorage
  ) throws {
    for tensor in tensors {
      precondition(tensor.offset + tensor.count <= storage.count, "\(tensor.name) lies outside its storage")
      let values = try file.floats(prefix + tensor.name, shape: tensor.shape)
      unsafe values.withUnsafeBufferPointer { source in
        guard let start = source.baseAddress else { return }
        unsafe (storage.base + tensor.offset).update(from: start, count: tensor.count)
      }
    }
  }

  private func prefixed(_ tensors: [NamedTensor], _ prefix: String) -> [NamedTensor] {
    tensors.map { NamedTensor(name: prefix + $0.name, shape: $0.shape, offset: $0.offset, count: $0.count) }
  }

  /// Names, formats and shapes, both ways: nothing missing, nothing unknown.
  private func check(
    _ file: SafeTensors, _ origin: String, _ floats: [NamedTensor], integers: [NamedTensor] = []
  ) throws {
    func require(_ tensor: NamedTensor, _ format: TensorFormat) throws {
      guard let entry = file.entries[tensor.name] else {
        throw CheckpointError(badData: "lacks '\(tensor.name)', which the recipe's network has", path: origin)
      }
      guard entry.format == format, entry.shape == tensor.shape else {
        throw CheckpointError(
          badData: "'\(tensor.name)' is \(entry.format.rawValue) \(entry.shape), but the recipe's network has "
            + "\(format.rawValue) \(tensor.shape)", path: origin)
      }
    }
    for tensor in floats { try require(tensor, .float32) }
    for tensor in integers { try require(tensor, .int32) }
    let unknown = Set(file.entries.keys).subtracting((floats + integers).map(\.name))
    if let name = unknown.min() {
      throw CheckpointError(badData: "holds '\(name)', which the recipe's network does not have", path: origin)
    }
  }
}

// MARK: - Metadata

extension TrainingStateCodec {
  /// Under which the step stands in the trainer file's metadata.
  static var stepKey: String { Key.step }

  private enum Key {
    static let momentum = "momentum."
    static let scales = "trainer.scales"
    static let extra = "extra."
    static let (step, epoch, seed) = ("step", "epoch", "seed")
    static let (recipe, index, model) = ("recipe_digest", "index_digest", "model_xxh3")
    static let (version, currentVersion) = ("tamring_checkpoint", "1")
  }

  private func metadata(of state: TrainerState) -> [String: String] {
    var fields = [
      Key.version: Key.currentVersion, Key.step: String(state.step), Key.epoch: String(state.epoch),
      Key.seed: String(state.seed), Key.recipe: state.recipeDigest, Key.index: state.indexDigest,
    ]
    for (name, value) in state.extra { fields[Key.extra + name] = value }
    return fields
  }

  private func state(from file: SafeTensors) throws -> TrainerState {
    func field(_ key: String) throws -> String {
      guard let text = file.metadata[key] else {
        throw CheckpointError(badData: "its metadata lacks '\(key)'", path: CheckpointFiles.trainerName)
      }
      return text
    }
    func number<Number: FixedWidthInteger>(_ key: String, _: Number.Type) throws -> Number {
      let text = try field(key)
      guard let number = Number(text), number >= 0 else {
        throw CheckpointError(
          badData: "its metadata '\(key)' is '\(text)', not a number", path: CheckpointFiles.trainerName)
      }
      return number
    }
    let version = try field(Key.version)
    guard version == Key.currentVersion else {
      throw CheckpointError(
        badData: "is of format \(version); this program reads format \(Key.currentVersion)",
        path: CheckpointFiles.trainerName)
    }
    var extra: [String: String] = [:]
    for (key, value) in file.metadata where key.hasPrefix(Key.extra) {
      extra[String(key.dropFirst(Key.extra.count))] = value
    }
    return try TrainerState(
      step: number(Key.step, Int.self), epoch: number(Key.epoch, Int.self), seed: number(Key.seed, UInt64.self),
      recipeDigest: field(Key.recipe), indexDigest: field(Key.index),
      scaleExponents: file.values(Key.scales, .int32, as: Int32.self), extra: extra)
  }
}
