// The two files of a checkpoint: all of the state in, the same state out, and nothing else accepted.
import Foundation
import Shared
import Testing

@testable import Checkpoint

@Suite struct TrainingStateCodecTests {
  static let parameters = [
    NamedTensor(name: "bn.weight", shape: [3], offset: 0, count: 3),
    NamedTensor(name: "conv.weight", shape: [2, 1, 3, 3], offset: 3, count: 18),
    NamedTensor(name: "scalar", shape: [], offset: 21, count: 1),
  ]
  static let statistics = [
    NamedTensor(name: "bn.running_mean", shape: [3], offset: 0, count: 3),
    NamedTensor(name: "bn.running_var", shape: [3], offset: 3, count: 3),
  ]
  let state = TrainerState(
    step: 12, epoch: 3, seed: .max, recipeDigest: "recipe", indexDigest: "index",
    extra: ["plateau.best": "1.5", "plateau.bad \"epochs\"": "2"])

  /// A state's memory and what encodes it.
  private struct Sample {
    let parameters: FloatStorage
    let statistics: FloatStorage
    let momentum: FloatStorage
    let scales: AlignedStorage<Int32>
    let slots: [StateSlot]
    var codec: TrainingStateCodec { TrainingStateCodec(slots) }

    init(
      _ parameters: FloatStorage, _ statistics: FloatStorage, _ momentum: FloatStorage,
      _ scales: AlignedStorage<Int32>, tensors: [NamedTensor] = TrainingStateCodecTests.parameters
    ) {
      (self.parameters, self.statistics, self.momentum, self.scales) = (parameters, statistics, momentum, scales)
      slots = [
        StateSlot("parameters", .model, tensors: tensors, .floats(parameters)),
        StateSlot("momentum", .trainer, prefix: "momentum.", tensors: tensors, .floats(momentum)),
        StateSlot("statistics", .model, tensors: TrainingStateCodecTests.statistics, .floats(statistics)),
        StateSlot(scales: scales),
      ]
    }

    /// Of zeros.
    init(tensors: [NamedTensor] = TrainingStateCodecTests.parameters) {
      self.init(
        FloatStorage(count: 64), FloatStorage(count: 64), FloatStorage(count: 64),
        AlignedStorage(count: tensors.count), tensors: tensors)
    }
  }

  private func sample(parameters: UInt32 = 1) -> Sample {
    Sample(numbers(22, parameters), numbers(6, 2), numbers(22, 3), AlignedStorage([-24, 7, -30]))
  }

  private func numbers(_ count: Int, _ a: UInt32) -> FloatStorage {
    var random = Philox(seed: 5, .selfTest, a)
    // All bit patterns are legal contents, those of NaN and of negative zero included.
    let storage = FloatStorage((0..<count).map { _ in Float(bitPattern: random.nextWord()) })
    storage[0] = Float(bitPattern: 0x7fc0_1234)
    storage[1] = -0.0
    return storage
  }

  private func encoded() -> CheckpointFiles {
    sample().codec.encode(state)
  }

  @Test("every bit of the state comes back, and equal states give equal bytes")
  func roundTrip() throws {
    let files = encoded()
    #expect(files == encoded())
    let other = Sample(
      FloatStorage(count: 22), FloatStorage(count: 6), FloatStorage(count: 22), AlignedStorage(count: 3))
    var decoded: TrainerState?
    try other.codec.decode(files) { decoded = $0 }
    #expect(decoded == state)
    #expect(other.parameters.array.map(\.bitPattern) == numbers(22, 1).array.map(\.bitPattern))
    #expect(other.statistics.array.map(\.bitPattern) == numbers(6, 2).array.map(\.bitPattern))
    #expect(other.momentum.array.map(\.bitPattern) == numbers(22, 3).array.map(\.bitPattern))
    #expect(other.scales.array == [-24, 7, -30])
    #expect(other.codec.encode(state) == files)
  }

  @Test("the model alone can be read, under the reference implementation's names")
  func modelAlone() throws {
    let file = try SafeTensors(encoded().model, origin: "model")
    #expect(Set(file.entries.keys) == Set((Self.parameters + Self.statistics).map(\.name)))
    let other = Sample()
    try other.codec.decodeModel(encoded().model, origin: "model")
    #expect(other.parameters.array(0..<22).map(\.bitPattern) == numbers(22, 1).array.map(\.bitPattern))
    #expect(other.momentum.array.allSatisfy { $0 == 0 })
  }

  @Test("another network's tensors are refused by name, and nothing is overwritten")
  func mismatches() throws {
    func refusal(_ parameters: [NamedTensor]) throws -> String {
      let other = Sample(tensors: parameters)
      let error = #expect(throws: CheckpointError.self) { try other.codec.decode(encoded()) }
      for storage in [other.parameters, other.statistics, other.momentum] {
        #expect(storage.array.allSatisfy { $0 == 0 })
      }
      return error?.description ?? ""
    }
    let missing = NamedTensor(name: "fc.weight", shape: [1], offset: 22, count: 1)
    #expect(try refusal(Self.parameters + [missing]).contains("lacks 'fc.weight'"))
    #expect(try refusal(Array(Self.parameters.dropLast())).contains("holds 'scalar'"))
    let reshaped = NamedTensor(name: "bn.weight", shape: [1, 3], offset: 0, count: 3)
    #expect(try refusal([reshaped] + Self.parameters.dropFirst()).contains("'bn.weight' is F32 [3]"))
  }

  @Test("the trainer's file of another checkpoint is refused")
  func mixedFiles() throws {
    let mine = encoded()
    let other = sample(parameters: 9).codec.encode(state)
    let error = #expect(throws: CheckpointError.self) {
      try Sample().codec.decode(CheckpointFiles(model: other.model, trainer: mine.trainer))
    }
    #expect(error?.description.contains("belongs to another model.safetensors") == true)
  }

  @Test("a truncated file is an error at every length")
  func truncation() {
    let files = encoded()
    for length in 0..<files.trainer.count {
      let cut = CheckpointFiles(model: files.model, trainer: files.trainer.prefix(length))
      #expect(throws: (any Error).self) { try Sample().codec.decode(cut) }
      #expect(throws: (any Error).self) { try cut.stateDigest() }
    }
  }

  @Test("the digest of a state is had from its files alone, and each slot's bits are in it")
  func stateDigest() throws {
    let sample = sample()
    func digest() throws -> Digest128 {
      let stream = Digest128Stream()
      for slot in sample.slots { slot.values.update(stream) }
      let digest = stream.finish()
      #expect(try sample.codec.encode(state).stateDigest() == digest)
      return digest
    }
    var seen = [try digest()]
    for storage in [sample.parameters, sample.statistics, sample.momentum] {
      storage[3] = 5
      seen.append(try digest())
    }
    sample.scales[1] = 8
    seen.append(try digest())
    #expect(Set(seen).count == 5)
  }

  @Test("files that are no checkpoint have no digest")
  func noDigest() throws {
    let files = encoded()
    func trainer(_ change: (inout SafeTensorsWriter) -> Void) throws -> Data {
      let file = try SafeTensors(files.trainer, origin: "trainer")
      var writer = SafeTensorsWriter()
      writer.metadata = file.metadata
      for (name, entry) in file.entries where entry.format == .float32 {
        writer.add(name, .float32, shape: entry.shape, try file.floats(name))
      }
      writer.add("trainer.scales", .int32, shape: [3], [Int32(-24), 7, -30])
      change(&writer)
      return writer.bytes()
    }
    #expect(try trainer { _ in } == files.trainer)
    let changes: [(inout SafeTensorsWriter) -> Void] = [
      { $0.add("momentum.foreign", .float32, shape: [1], [Float(0)]) },
      { $0.add("other", .float32, shape: [1], [Float(0)]) },
      { $0.add("trainer.scales", .int32, shape: [2], [Int32(0), 0]) },
      { $0.add("momentum.scalar", .int32, shape: [], [Int32(0)]) },
      { $0.metadata["slots"] = "momentum." },
      { $0.metadata["slots"] = #"["momentum.","momentum."]"# },
      { $0.metadata["slots"] = #"["mean."]"# },
    ]
    for (i, change) in changes.enumerated() {
      let other = CheckpointFiles(model: files.model, trainer: try trainer(change))
      #expect(throws: (any Error).self, "change \(i)") { try other.stateDigest() }
    }
  }
}
