// What a training step accepts and refuses; its numbers are checked by the golden steps.
import Foundation
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

@Suite struct TrainingStepTests {
  private let model: ModelRecipe = {
    var model = ModelRecipe()
    (model.width, model.groups, model.inputSize, model.classes) = (2, 2, 16, 3)
    return model
  }()

  private func state(_ change: (inout [String: ([Int], [Float])]) -> Void = { _ in }) throws -> SafeTensors {
    let network = try Network(model, engine: .openblas)
    var tensors: [String: ([Int], [Float])] = [:]
    let (parameters, statistics) = (network.initialParameters(seed: 1), network.initialStatistics())
    for spec in network.layout.parameters {
      tensors[spec.name] = (spec.shape, parameters.array(spec.offset..<spec.offset + spec.count))
    }
    for spec in network.layout.statistics {
      tensors[spec.name] = (spec.shape, statistics.array(spec.offset..<spec.offset + spec.count))
    }
    change(&tensors)
    var writer = SafeTensorsWriter()
    for (name, (shape, values)) in tensors { writer.add(name, .float32, shape: shape, values) }
    writer.add("baseline_model.bn1.num_batches_tracked", .int64, shape: [1], [Int64(3)])
    return try SafeTensors(writer.bytes(), origin: "state.safetensors")
  }

  private func batch(size: Int = 16, labels: [Int64] = [0, 2]) throws -> SafeTensors {
    var writer = SafeTensorsWriter()
    let input = randomNumbers(labels.count * 6 * size * size, seed: 3).array
    writer.add("input", .float32, shape: [labels.count, 6, size, size], input)
    writer.add("labels", .int64, shape: [labels.count], labels)
    return try SafeTensors(writer.bytes(), origin: "batch.safetensors")
  }

  private func run(_ state: SafeTensors) throws -> SafeTensors {
    let step = try TrainingStep(
      model: model, optimizer: OptimizerRecipe(), engine: OpenBLASEngine(), state: state, batch: batch())
    return try SafeTensors(step.run().bytes(), origin: "out")
  }

  @Test("a classifier called baseline_model.fc is the same as new_fc")
  func classifierName() throws {
    let renamed = try state { tensors in
      for part in ["weight", "bias"] {
        tensors["baseline_model.fc.\(part)"] = tensors.removeValue(forKey: "new_fc.\(part)")
      }
    }
    let (a, b) = try (run(state()), run(renamed))
    #expect(try a.floats("param.new_fc.weight") == b.floats("param.new_fc.weight"))
    #expect(a.entries.keys.sorted() == b.entries.keys.sorted())
  }

  @Test("momentum in the state is continued")
  func momentum() throws {
    let network = try Network(model, engine: .openblas)
    let moving = try state { tensors in
      for spec in network.layout.parameters {
        tensors["momentum.\(spec.name)"] = (spec.shape, [Float](repeating: 1, count: spec.count))
      }
    }
    let (still, moved) = try (run(state()), run(moving))
    let (a, b) = try (still.floats("momentum.new_fc.bias"), moved.floats("momentum.new_fc.bias"))
    for (x, y) in zip(a, b) { #expect(abs(y - x - 0.9) < 1e-6) }
  }

  @Test("a tensor that is missing, misshapen or foreign, and a label that is no class, are each named")
  func refusals() throws {
    func refusal(_ state: SafeTensors, _ batch: SafeTensors) -> String {
      do {
        _ = try TrainingStep(
          model: model, optimizer: OptimizerRecipe(), engine: OpenBLASEngine(), state: state, batch: batch)
        return "accepted"
      } catch { return "\(error)" }
    }
    let good = try batch()
    #expect(try refusal(state { $0["new_fc.bias"] = nil }, good).contains("'new_fc.bias'"))
    #expect(try refusal(state { $0["new_fc.bias"] = ([4], [0, 0, 0, 0]) }, good).contains("[4]"))
    #expect(try refusal(state { $0["layer9.weight"] = ([1], [0]) }, good).contains("'layer9.weight'"))
    #expect(try refusal(state { $0["momentum.new_fc.bias"] = ([3], [0, 0, 0]) }, good).contains("momentum."))
    #expect(try refusal(state(), batch(size: 17)).contains("'input'"))
    #expect(try refusal(state(), batch(labels: [0, 3])).contains("label 3"))
    #expect(try refusal(state(), batch(labels: [])).contains("no clips"))
    #expect(try refusal(state(), state()).contains("'input'"))
    #expect(try refusal(state(), good) == "accepted")
  }
}
