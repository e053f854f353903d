// The digest of the state that a checkpoint holds, from its files alone: what the journal recorded of the step before.
import Foundation
import Shared

extension CheckpointFiles {
  /// XXH3-128 over the state's numbers in the order in which training digests them: the parameters by name, the slots
  /// of the update rule as they lie in the trainer file (momentum), the running statistics by name, the scales'
  /// exponents. A parameter is a tensor of the model that has a slot.
  /// - Throws: `SharedError` or `CheckpointError`, bad data, where the files are not those of a checkpoint.
  public func stateDigest() throws -> Digest128 {
    let model = try SafeTensors(self.model, origin: Self.modelName)
    let trainer = try SafeTensors(self.trainer, origin: Self.trainerName)
    let slots = Self.sorted(trainer.entries.keys).filter { model.entries[Self.parameter(of: $0)] != nil }
    let parameters = Set(slots.map(Self.parameter))
    guard !slots.isEmpty else {
      throw CheckpointError(badData: "has no slots of an optimiser", path: Self.trainerName)
    }
    let names = Self.sorted(model.entries.keys)
    let digest = Digest128Stream()
    for name in names where parameters.contains(name) { try Self.add(name, of: model, to: digest) }
    for name in slots { try Self.add(name, of: trainer, to: digest) }
    for name in names where !parameters.contains(name) { try Self.add(name, of: model, to: digest) }
    try Self.add("trainer.scales", of: trainer, to: digest)
    return digest.finish()
  }

  private static func add(_ name: String, of file: SafeTensors, to digest: borrowing Digest128Stream) throws {
    guard let format = file.entries[name]?.format, format.bytes == 4 else {
      throw SharedError(.badData, "'\(name)' is missing, or not of 32 bits")
    }
    let words = try file.values(name, format, as: UInt32.self)
    unsafe words.withUnsafeBytes { unsafe digest.update($0) }
  }

  /// `momentum.conv1.weight` is a slot of `conv1.weight`.
  private static func parameter(of slot: String) -> String {
    slot.firstIndex(of: ".").map { String(slot[slot.index(after: $0)...]) } ?? ""
  }

  private static func sorted(_ names: some Sequence<String>) -> [String] {
    names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
