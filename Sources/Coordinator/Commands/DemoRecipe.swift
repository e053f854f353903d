// The recipe that is used where there is none: cluster/demo.yaml, which is built into the program.
import Foundation
import Recipes

extension Recipe {
  /// Learns the data that `coordinator demo-data` writes, here in `./demo-data`.
  /// - Throws: `SharedError` where the file that was built in is no recipe.
  static func demo() throws -> Recipe {
    var recipe = try Recipe(
      yaml: String(decoding: PackageResources.demo_yaml, as: UTF8.self), origin: "the built-in demo recipe")
    recipe.data.path = URL(fileURLWithPath: "demo-data").path
    return recipe
  }
}
