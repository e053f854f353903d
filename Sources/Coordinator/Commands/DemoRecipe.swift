// The default recipe: cluster/demo.yaml, built into the program.
import Foundation
import Recipes

extension Recipe {
  /// The recipe for the data that `coordinator demo-data demo-data` writes.
  /// - Throws: `SharedError` if the built-in file is not a recipe.
  static func demo() throws -> Recipe {
    var recipe = try Recipe(
      yaml: String(decoding: PackageResources.demo_yaml, as: UTF8.self), origin: "the built-in demo recipe")
    recipe.data.path = URL(fileURLWithPath: "demo-data").path
    return recipe
  }
}
