// The recipe that a command was given, or the default, and its run directory.
import ArgumentParser
import Checkpoint
import Dataset
import Foundation
import Recipes
import Shared
import Training

/// The options that name a recipe and a run directory.
struct RecipeOptions: ParsableArguments {
  @Option(help: "The recipe, a YAML file. Default: ./recipe.yaml, else the run directory's, else the built-in demo.")
  var recipe: String?

  @Option(help: "The run directory. Default: runs/NAME, after the recipe's name.")
  var runDir: String?

  @Option(help: "Replace the recipe's seed.")
  var seed: UInt64?

  /// - Parameter model: whose run's recipe is taken where no other is named.
  func resolve(for model: ModelFile? = nil) throws -> GivenRecipe {
    if recipe == nil, runDir == nil, let own = model?.recipe {
      return try GivenRecipe(file: nil, runDirectory: (own as NSString).deletingLastPathComponent, seed: seed)
    }
    let file = recipe ?? (FileManager.default.fileExists(atPath: "recipe.yaml") ? "recipe.yaml" : nil)
    return try GivenRecipe(file: file, runDirectory: runDir, seed: seed)
  }
}

/// The recipe as the user gave it, and the directory of its run.
struct GivenRecipe {
  /// Nil if there is none; the recipe is then the run directory's, or the built-in demo.
  let file: String?
  let seed: UInt64?
  let recipe: Recipe
  /// The keys that the file names, each with its line.
  let lines: [String: Int]
  let directory: String

  /// The values that this program's registries allow, by key.
  static let known = ["data.format": AnnotationFormats.known.names]

  /// - Throws: `SharedError` if the file cannot be read or understood.
  init(file: String?, runDirectory: String?, seed: UInt64?) throws {
    self.file = file
    self.seed = seed
    if let file {
      let read = try Self.read(file)
      (recipe, lines) = (Self.seeded(read.recipe, seed), read.lines)
      directory = runDirectory ?? "runs/\(recipe.name)"
    } else {
      let demo = try Recipe.demo()
      directory = runDirectory ?? "runs/\(demo.name)"
      let kept = "\(directory)/recipe.yaml"
      let found = FileManager.default.fileExists(atPath: kept) ? try Recipe(ofRun: kept) : demo
      (recipe, lines) = (Self.seeded(found, seed), [:])
    }
  }

  private static func read(_ file: String, over base: Recipe = Recipe()) throws -> RecipeFile {
    try RecipeFile(path: file, over: base, known: known, others: patternMistakes)
  }

  /// The given recipe on top of a resumed run's: keys that the file does not name keep the run's values.
  func over(_ base: Recipe) throws -> Recipe {
    Self.seeded(try file.map { try Self.read($0, over: base).recipe } ?? base, seed)
  }

  /// Whether a missing validation list is a mistake. It is none if the user named no list.
  var needsValidation: Bool { lines["data.validation_list"] != nil }

  /// An error about a key of the file, with its line.
  func located(_ error: DatasetError) -> DatasetError {
    guard let file, let key = error.key, let line = lines[key] else { return error }
    return DatasetError(error.status, "\(file): line \(line): \(error.description)", key: key)
  }

  private static func seeded(_ recipe: Recipe, _ seed: UInt64?) -> Recipe {
    var recipe = recipe
    recipe.seed = seed ?? recipe.seed
    // A copied recipe.yaml lists another run's revisions.
    recipe.revisions = []
    return recipe
  }
}
