// `worker step`: one training step in isolation, from files to a file.
import ArgumentParser
import BLVNet
import Foundation
import Recipes
import Shared
import Training

struct StepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step", abstract: "Runs one training step in isolation: forward, loss, backward, optimizer.")

  @Option(help: "The recipe; only its engine, precision, model, optimizer and loss count.") var recipe: String
  @Option(help: "A safetensors file with parameters, running statistics and, if it has them, momentum.NAME.") var state:
    String
  @Option(help: "A safetensors file with input [clips, frames*3, height, width] and labels.") var batch: String
  @Option(help: "The safetensors file to write: logits, loss, grad.NAME, param.NAME, momentum.NAME, buffer.NAME.")
  var out: String

  func run() throws {
    let recipe = try Recipe.read(path: recipe)
    let step = try TrainingStep(
      model: recipe.model, optimizer: recipe.optimizer, loss: ClassLoss(recipe.loss), engine: recipe.makeEngine(),
      state: try SafeTensors(path: state),
      batch: try SafeTensors(path: batch))
    let result = try step.run(evaluating: true)
    try writeFile(result.bytes(), to: out)
  }
}
