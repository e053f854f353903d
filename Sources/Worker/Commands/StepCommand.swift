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

  @Option(help: "A recipe; its model and optimizer sections are used.") var recipe: String
  @Option(help: "Parameters, running statistics and, where present, momentum.NAME, as safetensors.") var state: String
  @Option(help: "input [clips, frames*3, height, width] and labels, as safetensors.") var batch: String
  @Option(help: "Where to write logits, loss, grad.NAME, param.NAME, momentum.NAME and buffer.NAME.") var out: String

  func run() throws {
    let recipe = try Recipe.read(path: recipe)
    let step = try TrainingStep(
      model: recipe.model, optimizer: recipe.optimizer, engine: recipe.makeEngine(),
      state: try SafeTensors(path: state),
      batch: try SafeTensors(path: batch))
    let result = try step.run(evaluating: true)
    do { try result.bytes().write(to: URL(fileURLWithPath: out)) } catch {
      throw SharedError(.ioError, "\(out): cannot be written; check the folder and the space left on its disk")
    }
  }
}
