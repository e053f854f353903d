// Turns the slots of a training state into a checkpoint's two files and back.
import Foundation
import Shared

/// Encodes and decodes a training state, given its slots.
///
/// Files are functions of the state: equal states give equal bytes.
///
/// - `model.safetensors`: the slots of the model (parameters and running statistics) under their tensors' names, and
///   what the model is (`description`) as metadata.
/// - `trainer.safetensors`: the other slots under their prefixes (`momentum.NAME`, `trainer.scales`), and
///   `TrainerState` as metadata, with the XXH3-128 of the model file that belongs to it.
public struct TrainingStateCodec: Sendable {
  private let slots: [StateSlot]
  private let description: [String: String]

  /// - Parameters:
  ///   - slots: in the order of the state's digest: parameters, what is kept beside each of them, statistics, scales.
  ///     Encoding reads their memory, decoding writes it.
  ///   - description: metadata of the model's file, equal on all ranks. The state's digest leaves it out.
  public init(_ slots: [StateSlot], description: [String: String] = [:]) {
    self.slots = slots
    self.description = description
  }

  /// The files of the state as it is now.
  public func encode(_ state: TrainerState) -> CheckpointFiles {
    var model = SafeTensorsWriter()
    model.metadata = description
    // Other readers of the format look for this before they hand tensors to PyTorch.
    model.metadata["format"] = "pt"
    add(.model, to: &model)
    let modelFile = model.bytes()
    var trainer = SafeTensorsWriter()
    trainer.metadata = metadata(of: state)
    trainer.metadata[TrainerMetadata.model] = Digest128(of: modelFile).description
    for (key, value) in TrainerSlots(slots).metadata { trainer.metadata[key] = value }
    add(.trainer, to: &trainer)
    return CheckpointFiles(model: modelFile, trainer: trainer.bytes())
  }

  /// Checks everything, then fills the slots; on an error they are as they were.
  /// - Parameter accept: what is not tensors; it throws to refuse the state.
  /// - Throws: `CheckpointError` that names the first tensor or entry that does not fit, `SharedError` for bytes that
  ///   are not safetensors; what `accept` throws.
  public func decode(_ files: CheckpointFiles, accept: (TrainerState) throws -> Void = { _ in }) throws {
    let model = try SafeTensors(files.model, origin: CheckpointFiles.modelName)
    let trainer = try SafeTensors(files.trainer, origin: CheckpointFiles.trainerName)
    try check(model, CheckpointFiles.modelName, .model)
    try check(trainer, CheckpointFiles.trainerName, .trainer)
    let state = try state(from: trainer)
    guard trainer.metadata[TrainerMetadata.model] == Digest128(of: files.model).description else {
      throw CheckpointError(
        badData: "belongs to another model.safetensors; use both files of one checkpoint",
        path: CheckpointFiles.trainerName)
    }
    try accept(state)
    try copy(.model, from: model)
    try copy(.trainer, from: trainer)
  }

  /// Reads only the model's slots, for evaluation and prediction.
  /// - Parameter origin: what to call the bytes in an error, usually their path.
  /// - Throws: as `decode`.
  public func decodeModel(_ model: Data, origin: String) throws {
    let file = try SafeTensors(model, origin: origin)
    try check(file, origin, .model)
    try copy(.model, from: file)
  }
}

// MARK: - Tensors

extension TrainingStateCodec {
  private func slots(of file: StateSlot.File) -> [StateSlot] { slots.filter { $0.file == file } }

  private func add(_ part: StateSlot.File, to file: inout SafeTensorsWriter) {
    for slot in slots(of: part) {
      for tensor in slot.tensors {
        let (name, shape) = (slot.prefix + tensor.name, tensor.shape)
        switch slot.values {
        case .floats(let values): file.add(name, .float32, shape: shape, values, tensor.range)
        case .integers(let values): file.add(name, .int32, shape: shape, values, tensor.range)
        }
      }
    }
  }

  private func copy(_ part: StateSlot.File, from file: SafeTensors) throws {
    for slot in slots(of: part) {
      for tensor in slot.tensors {
        let place = unsafe slot.values.bytes(of: tensor)
        unsafe try file.withBytes(slot.prefix + tensor.name, slot.values.format, shape: tensor.shape) {
          unsafe place.copyMemory(from: $0)
        }
      }
    }
  }

  /// Names, formats and shapes, both ways: nothing missing, nothing unknown.
  private func check(_ file: SafeTensors, _ origin: String, _ part: StateSlot.File) throws {
    var unknown = Set(file.entries.keys)
    for slot in slots(of: part) {
      for tensor in slot.tensors {
        let (name, format) = (slot.prefix + tensor.name, slot.values.format)
        guard let entry = file.entries[name] else {
          throw CheckpointError(badData: "lacks '\(name)', which the recipe's network has", path: origin)
        }
        guard entry.format == format, entry.shape == tensor.shape else {
          throw CheckpointError(
            badData: "'\(name)' is \(entry.format.rawValue) \(entry.shape), but the recipe's network has "
              + "\(format.rawValue) \(tensor.shape)", path: origin)
        }
        unknown.remove(name)
      }
    }
    if let name = unknown.min() {
      throw CheckpointError(badData: "holds '\(name)', which the recipe's network does not have", path: origin)
    }
  }
}

// MARK: - Metadata

/// The keys of the trainer file's metadata.
enum TrainerMetadata {
  static let extra = "extra."
  static let (step, epoch, seed) = ("step", "epoch", "seed")
  static let (recipe, index, model) = ("recipe_digest", "index_digest", "model_xxh3")
  static let (version, currentVersion) = ("tamring_checkpoint", "1")
  static let (slots, parameters) = ("slots", "parameters")
}

extension TrainingStateCodec {
  private func metadata(of state: TrainerState) -> [String: String] {
    typealias Key = TrainerMetadata
    var fields = [
      Key.version: Key.currentVersion, Key.step: String(state.step), Key.epoch: String(state.epoch),
      Key.seed: String(state.seed), Key.recipe: state.recipeDigest, Key.index: state.indexDigest,
    ]
    for (name, value) in state.extra { fields[Key.extra + name] = value }
    return fields
  }

  private func state(from file: SafeTensors) throws -> TrainerState {
    typealias Key = TrainerMetadata
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
      recipeDigest: field(Key.recipe), indexDigest: field(Key.index), extra: extra)
  }
}
