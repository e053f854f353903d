// `worker match`: which tensors of a model file the network of a recipe would start from.
import ArgumentParser
import BLVNet
import Checkpoint
import Foundation
import Recipes
import Shared
import Training

struct MatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "match", abstract: "Says which tensors of a model file the network of a recipe starts from with init.")

  @Option(help: "The recipe; only its engine and model count.") var recipe: String
  @Option(help: "A model.safetensors, a checkpoint's folder, or a run directory.") var model: String

  func run() throws {
    let recipe = try Recipe.read(path: recipe)
    let file = try ModelFile(model)
    let network = try Network(recipe.model, engine: recipe.engine)
    let initial = try InitialModel(
      SafeTensors(try file.data(), origin: file.path), for: network, origin: file.path)
    for line in initial.report { try printLine(line) }
  }
}
