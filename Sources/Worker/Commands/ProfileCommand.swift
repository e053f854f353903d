// `worker profile`: the costs of a recipe's network, layer by layer.
import ArgumentParser
import BLVNet
import Foundation
import Recipes
import Shared

struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Prints the network's parameters, multiply-adds and memory, layer by layer.")

  @Option(help: "The recipe; only its engine, precision and model count.") var recipe: String

  func run() throws {
    let recipe = try Recipe.read(path: recipe)
    let profile = Profile(try Network(recipe.model, engine: recipe.makeEngine()))
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
    print(
      "memory of one clip: training \(megabytes(profile.trainingBytes)) MB, evaluation \(megabytes(profile.evaluationBytes)) MB"
    )
  }

  private func megabytes(_ bytes: Int) -> String { String(format: "%.1f", Double(bytes) / 1e6) }
}
