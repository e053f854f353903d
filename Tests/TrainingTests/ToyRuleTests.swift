// Update rules that are this file and one line of a registry: they train, their slots are saved, and they go on.
import Checkpoint
import Foundation
import Recipes
import Shared
import Testing

@testable import Training

/// A mean of gradients, and a mean of their squares that starts at one, as in AdaGrad's relatives.
private struct ToyRule: UpdateRule {
  let decay: Float

  init(_ recipe: OptimizerRecipe) { decay = Float(recipe.weightDecay) }

  var slots: [RuleSlot] { [RuleSlot("mean"), RuleSlot("square", prefix: "toy.square.", initial: 1)] }

  func update(_ tensor: TensorUpdate) {
    let (mean, square) = (tensor.slots[0], tensor.slots[1])
    for i in tensor.range {
      let g = tensor.meanGradient(i) + decay * tensor.parameters[i]
      mean[i] = 0.5 * mean[i] + 0.5 * g
      square[i] = 0.9 * square[i] + 0.1 * (g * g)
      tensor.parameters[i] -= tensor.rate * mean[i] / square[i].squareRoot()
    }
  }
}

/// Plain gradient descent, which remembers nothing.
private struct Plain: UpdateRule {
  init(_ recipe: OptimizerRecipe) {}
  var slots: [RuleSlot] { [] }
  func update(_ tensor: TensorUpdate) {
    for i in tensor.range { tensor.parameters[i] -= tensor.rate * tensor.meanGradient(i) }
  }
}

private let rules = UpdateRules.all.merging(["toy": ToyRule.self, "plain": Plain.self]) { old, _ in old }

@Suite struct ToyRuleTests {
  private func training(_ rule: String) throws -> ShortTraining {
    ShortTraining(try toyNetwork(), try OptimizerRecipe().makeRule(named: rule, of: rules))
  }

  @Test(
    "a rule trains; its slots are saved under its prefixes, loaded, and training goes on to the same bits",
    arguments: [
      ("sgd", ["momentum."], nil), ("adamw", ["exp_avg.", "exp_avg_sq."], #"["exp_avg.","exp_avg_sq."]"#),
      ("toy", ["mean.", "toy.square."], #"["mean.","toy.square."]"#), ("plain", [], "[]"),
    ] as [(String, [String], String?)])
  func toy(_ rule: String, _ prefixes: [String], _ recorded: String?) throws {
    let whole = try training(rule)
    whole.state.initialise()
    let losses = try whole.train(steps: 12)
    #expect(losses[11] < 0.98 * losses[0], "\(losses)")

    let first = try training(rule)
    first.state.initialise()
    #expect(try first.state.files().stateDigest() == first.state.digest)
    _ = try first.train(steps: 5)
    let files = try first.state.files()
    let trainer = try SafeTensors(files.trainer, origin: "trainer")
    let names = first.network.layout.parameters.map(\.name)
    #expect(
      Set(trainer.entries.keys) == Set(prefixes.flatMap { prefix in names.map { prefix + $0 } } + ["trainer.scales"]))
    // What goes without saying is not said, so that files of SGD stay what they are.
    #expect(trainer.metadata["slots"] == recorded)

    let second = try training(rule)
    try second.state.load(files)
    #expect(second.state.digest == first.state.digest)
    #expect(try second.state.files() == files)
    #expect(try files.stateDigest() == first.state.digest)
    _ = try second.train(steps: 7)
    #expect(second.state.digest == whole.state.digest)
  }

  @Test("starting again gives the initial values back, the rule's too")
  func restart() throws {
    let training = try training("toy")
    training.state.initialise()
    let (digest, files) = (training.state.digest, try training.state.files())
    let squares = try SafeTensors(files.trainer, origin: "trainer").floats("toy.square.top.bias")
    #expect(squares == [1, 1, 1])
    _ = try training.train(steps: 2)
    #expect(training.state.digest != digest)
    training.state.initialise()
    #expect(training.state.digest == digest)
    #expect(try training.state.files() == files)
  }

  @Test("a state of another rule is refused by the name of a tensor")
  func otherRule() throws {
    let toy = try training("toy")
    toy.state.initialise()
    let error = #expect(throws: CheckpointError.self) { try training("sgd").state.load(toy.state.files()) }
    #expect(error?.description.contains("lacks 'momentum.stem.weight'") == true)
  }

  @Test("numbers that no training leaves are refused where a state is loaded")
  func impossibleNumbers() throws {
    let training = try training("sgd")
    training.state.initialise()
    _ = try training.train(steps: 1)
    let files = try training.state.files()
    func refused(_ old: String, _ new: String) -> Bool {
      guard let range = files.trainer.range(of: Data(old.utf8)) else { return false }
      var trainer = files.trainer
      trainer.replaceSubrange(range, with: Data(new.utf8))
      // The header's length and padding are those of the old text.
      let header = trainer.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) } + new.utf8.count - old.utf8.count
      let padding = (8 - header % 8) % 8
      trainer.insert(contentsOf: [UInt8](repeating: 0x20, count: padding), at: 8 + header)
      withUnsafeBytes(of: UInt64(header + padding).littleEndian) { trainer.replaceSubrange(0..<8, with: $0) }
      do {
        try self.training("sgd").state.load(CheckpointFiles(model: files.model, trainer: trainer))
        return false
      } catch { return true }
    }
    #expect(refused(#""step":"1""#, #""step":"9223372036854775807""#))
    #expect(refused(#"epoch_clips":"4""#, #"epoch_clips":"9223372036854775807""#))
    #expect(refused(#"epoch_clips":"4""#, #"epoch_clips":"-4""#))
    #expect(refused(#"\"reductions\":0"#, #"\"reductions\":-1"#))
    #expect(refused(#"\"waited\":0"#, #"\"waited\":9223372036854775807"#))
    #expect(!refused(#"epoch_clips":"4""#, #"epoch_clips":"5""#))
  }
}
