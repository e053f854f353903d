// The recipe of a command, from a file or by default, and the run directory that it belongs to.
import ArgumentParser
import Dataset
import Foundation
import Recipes
import Shared

/// The recipe that a command works by, and its run directory.
struct RecipeOptions: ParsableArguments {
  @Option(help: "The recipe, a YAML file; else ./recipe.yaml, the run directory's own, or the built-in demo.")
  var recipe: String?

  @Option(help: "The run directory; runs/NAME, after the recipe's name.")
  var runDir: String?

  @Option(help: "Replaces the recipe's seed.")
  var seed: UInt64?

  func resolve() throws -> GivenRecipe {
    let file = recipe ?? (FileManager.default.fileExists(atPath: "recipe.yaml") ? "recipe.yaml" : nil)
    return try GivenRecipe(file: file, runDirectory: runDir, seed: seed)
  }
}

/// A recipe as the user gives it, and where its run belongs.
struct GivenRecipe {
  /// Nil where there is none: then the run directory's own recipe counts, or the built-in demo.
  let file: String?
  let seed: UInt64?
  let recipe: Recipe
  /// The keys that the file names.
  let named: Set<String>
  let directory: String

  /// The names that keys may have by this program's registries.
  static let known = ["data.format": AnnotationFormats.known.names]

  /// - Throws: `SharedError` where the file cannot be read or understood.
  init(file: String?, runDirectory: String?, seed: UInt64?) throws {
    self.file = file
    self.seed = seed
    if let file {
      let read = try RecipeFile(path: file, known: Self.known)
      (recipe, named) = (Self.seeded(read.recipe, seed), read.named)
      directory = runDirectory ?? "runs/\(recipe.name)"
    } else {
      let demo = try Recipe.demo()
      directory = runDirectory ?? "runs/\(demo.name)"
      let kept = "\(directory)/recipe.yaml"
      let found = FileManager.default.fileExists(atPath: kept) ? try Recipe(ofRun: kept) : demo
      (recipe, named) = (Self.seeded(found, seed), [])
    }
  }

  /// The given recipe, read over the recipe of a resumed run: keys that the file does not name keep their values.
  func over(_ base: Recipe) throws -> Recipe {
    Self.seeded(try file.map { try RecipeFile(path: $0, over: base, known: Self.known).recipe } ?? base, seed)
  }

  /// Whether a missing validation list is a mistake, and not just a data set without one.
  var needsValidation: Bool { named.contains("data.validation_list") }

  private static func seeded(_ recipe: Recipe, _ seed: UInt64?) -> Recipe {
    var recipe = recipe
    recipe.seed = seed ?? recipe.seed
    // Those that a copied recipe.yaml lists are another run's.
    recipe.revisions = []
    return recipe
  }
}
