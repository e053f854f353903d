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
  let codec = TrainingStateCodec(parameters: parameters, statistics: statistics)
  let state = TrainerState(
    step: 12, epoch: 3, seed: .max, recipeDigest: "recipe", indexDigest: "index", scaleExponents: [-24, 7, -30],
    extra: ["plateau.best": "1.5", "plateau.bad \"epochs\"": "2"])

  private func numbers(_ count: Int, _ a: UInt32) -> FloatStorage {
    var random = Philox(seed: 5, .selfTest, a)
    // All bit patterns are legal contents, those of NaN and of negative zero included.
    let storage = FloatStorage((0..<count).map { _ in Float(bitPattern: random.nextWord()) })
    storage[0] = Float(bitPattern: 0x7fc0_1234)
    storage[1] = -0.0
    return storage
  }

  private func encoded() -> CheckpointFiles {
    codec.encode(parameters: numbers(22, 1), statistics: numbers(6, 2), momentum: numbers(22, 3), state: state)
  }

  @Test("every bit of the state comes back, and equal states give equal bytes")
  func roundTrip() throws {
    let files = encoded()
    #expect(files == encoded())
    let (parameters, statistics, momentum) = (
      FloatStorage(count: 22), FloatStorage(count: 6), FloatStorage(count: 22)
    )
    let decoded = try codec.decode(files, parameters: parameters, statistics: statistics, momentum: momentum)
    #expect(decoded == state)
    #expect(parameters.array.map(\.bitPattern) == numbers(22, 1).array.map(\.bitPattern))
    #expect(statistics.array.map(\.bitPattern) == numbers(6, 2).array.map(\.bitPattern))
    #expect(momentum.array.map(\.bitPattern) == numbers(22, 3).array.map(\.bitPattern))
    #expect(codec.encode(parameters: parameters, statistics: statistics, momentum: momentum, state: decoded) == files)
  }

  @Test("the model alone can be read, under the reference implementation's names")
  func modelAlone() throws {
    let file = try SafeTensors(encoded().model, origin: "model")
    #expect(Set(file.entries.keys) == Set((Self.parameters + Self.statistics).map(\.name)))
    let (parameters, statistics) = (FloatStorage(count: 22), FloatStorage(count: 6))
    try codec.decodeModel(encoded().model, origin: "model", parameters: parameters, statistics: statistics)
    #expect(parameters.array.map(\.bitPattern) == numbers(22, 1).array.map(\.bitPattern))
  }

  @Test("another network's tensors are refused by name, and nothing is overwritten")
  func mismatches() throws {
    func refusal(_ parameters: [NamedTensor]) throws -> String {
      let other = TrainingStateCodec(parameters: parameters, statistics: Self.statistics)
      let storage = FloatStorage(count: 64)
      let error = #expect(throws: CheckpointError.self) {
        try other.decode(encoded(), parameters: storage, statistics: storage, momentum: storage)
      }
      #expect(storage.array.allSatisfy { $0 == 0 })
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
    let other = codec.encode(
      parameters: numbers(22, 9), statistics: numbers(6, 2), momentum: numbers(22, 3), state: state)
    let storage = FloatStorage(count: 22)
    let error = #expect(throws: CheckpointError.self) {
      try codec.decode(
        CheckpointFiles(model: other.model, trainer: mine.trainer), parameters: storage, statistics: storage,
        momentum: storage)
    }
    #expect(error?.description.contains("belongs to another model.safetensors") == true)
  }

  @Test("a truncated file is an error at every length")
  func truncation() {
    let files = encoded()
    let storage = FloatStorage(count: 22)
    for length in 0..<files.trainer.count {
      let cut = CheckpointFiles(model: files.model, trainer: files.trainer.prefix(length))
      #expect(throws: (any Error).self) {
        try codec.decode(cut, parameters: storage, statistics: storage, momentum: storage)
      }
    }
  }
}
