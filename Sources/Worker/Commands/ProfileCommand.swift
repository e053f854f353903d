// `worker profile`: the costs of a recipe's network, layer by layer, or of all networks.
import ArgumentParser
import BLVNet
import Foundation
import Recipes
import Shared

struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile",
    abstract: "Prints the network's parameters, multiply-adds and memory, layer by layer, or a table of all networks.")

  @Option(help: "The recipe; only its engine, precision and model count.") var recipe: String
  @Flag(help: "A table of all networks with the recipe's depth, width, input size and classes.") var all = false
  @Option(parsing: .upToNextOption, help: "With --all: frames of a clip (8 16 32).") var frames: [Int] = []
  @Flag(help: "Also run a step of one clip, and print its memory and time.") var measure = false

  func validate() throws {
    guard all || frames.isEmpty else { throw ValidationError("--frames is for --all; else model.groups counts") }
    guard frames.allSatisfy({ (1...1024).contains($0) }) else {
      throw ValidationError("--frames must be from 1 to 1024")
    }
  }

  func run() throws {
    let recipe = try Recipe.read(path: recipe)
    if all {
      return try ProfileTable(recipe: recipe, frames: frames.isEmpty ? [8, 16, 32] : frames, measures: measure).print()
    }
    let network = try Network(recipe.model, engine: recipe.makeEngine())
    let profile = Profile(network)
    func row(_ name: String, _ parameters: String, _ adds: String, _ bytes: String) -> String {
      func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
      }
      return name + String(repeating: " ", count: max(0, 46 - name.count)) + right(parameters, 12) + right(adds, 16)
        + right(bytes, 12)
    }
    print(row("layer", "parameters", "multiply-adds", "output MB"))
    for layer in profile.rows {
      print(row(layer.name, "\(layer.parameters)", "\(layer.multiplyAdds)", megabytes(layer.activationBytes)))
    }
    print(row("total", "\(profile.parameters)", "\(profile.multiplyAdds)", megabytes(profile.activationBytes)))
    print("multiply-adds without the classifier, as papers count: \(profile.convolutionMultiplyAdds)")
    print(
      "memory of one clip: training \(megabytes(profile.trainingBytes)) MB, evaluation \(megabytes(profile.evaluationBytes)) MB"
    )
    guard measure else { return }
    let planned = Lane(network, maximumClips: 1).memoryBytes
    let measured = try StepMeasurement(network)
    print(
      "a step of one clip: planned \(megabytes(planned)) MB, measured \(megabytes(measured.bytes)) MB, "
        + String(format: "%.3f s", measured.seconds))
  }
}
