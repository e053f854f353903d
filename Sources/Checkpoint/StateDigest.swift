// The digest of a training state, computed from a checkpoint's bytes alone.
import Foundation
import Shared

/// Which slots a trainer file holds besides the scales, so that its bytes can be read without the network.
struct TrainerSlots {
  /// What files that do not say so hold.
  private static let implied = ["momentum."]

  /// The slots' prefixes, in the order of the digest.
  let prefixes: [String]
  /// The parameters' names, where no slot shows them.
  let parameters: [String]?

  /// - Parameter slots: all of a state, in the order of its digest.
  init(_ slots: [StateSlot]) {
    prefixes = slots.filter { $0.file == .trainer }.dropLast().map(\.prefix)
    parameters = prefixes.isEmpty ? slots.first?.tensors.map(\.name) : nil
  }

  /// - Throws: `CheckpointError`, bad data, where the metadata is not what an encoder writes.
  init(_ trainer: SafeTensors) throws {
    func list(_ key: String) throws -> [String]? {
      guard let text = trainer.metadata[key] else { return nil }
      guard let list = try? JSONDecoder().decode([String].self, from: Data(text.utf8)), Set(list).count == list.count
      else {
        throw CheckpointError(
          badData: "its metadata '\(key)' is no list of names", path: CheckpointFiles.trainerName)
      }
      return list
    }
    prefixes = try list(TrainerMetadata.slots) ?? Self.implied
    parameters = try list(TrainerMetadata.parameters)
  }

  /// Nothing where the slots are those that go without saying.
  var metadata: [String: String] {
    guard prefixes != Self.implied else { return [:] }
    var fields = [TrainerMetadata.slots: Self.text(prefixes)]
    fields[TrainerMetadata.parameters] = parameters.map(Self.text)
    return fields
  }

  private static func text(_ names: [String]) -> String {
    // A list of strings can always be written.
    (try? JSONEncoder().encode(names)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
  }
}

extension CheckpointFiles {
  /// The digest that a training state with these files' contents has, as commit records and the journal hold it. It
  /// needs no network: parameters are the tensors that the trainer file keeps something for, all others of the model
  /// are statistics, and each slot is sorted by name.
  ///
  /// - Throws: `CheckpointError` or `SharedError`, bad data, where the files are no checkpoint.
  public func stateDigest() throws -> Digest128 {
    let model = try SafeTensors(self.model, origin: Self.modelName)
    let trainer = try SafeTensors(self.trainer, origin: Self.trainerName)
    let slots = try TrainerSlots(trainer)
    let parameters = slots.parameterNames(in: trainer)
    guard trainer.entries.count == slots.prefixes.count * parameters.count + 1 else {
      throw CheckpointError(badData: "holds tensors that no slot has", path: Self.trainerName)
    }
    let known = Set(parameters)
    let stream = Digest128Stream()
    func take(_ file: SafeTensors, _ names: [String], prefix: String = "") throws {
      for name in names { unsafe try file.withBytes(prefix + name, .float32) { unsafe stream.update($0) } }
    }
    try take(model, parameters)
    for prefix in slots.prefixes { try take(trainer, parameters, prefix: prefix) }
    try take(model, sorted(model.entries.keys.filter { !known.contains($0) }))
    unsafe try trainer.withBytes(StateSlot.scalesName, .int32, shape: [parameters.count]) { unsafe stream.update($0) }
    return stream.finish()
  }
}

extension TrainerSlots {
  /// The parameters that the trainer file keeps something for, in the order of the layout.
  fileprivate func parameterNames(in trainer: SafeTensors) -> [String] {
    guard let prefix = prefixes.first else { return parameters ?? [] }
    return sorted(trainer.entries.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
  }
}

/// By UTF-8 bytes, as the layout of a network and safetensors files are.
private func sorted(_ names: [String]) -> [String] {
  names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}
