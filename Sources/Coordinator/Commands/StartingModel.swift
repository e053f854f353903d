// The model that a run starts from (`init` in the recipe): its bytes, its digest, and its copy in the run directory.
import BLVNet
import Checkpoint
import Foundation
import Recipes
import Shared
import Training

/// The recipe's initial model. The coordinator alone needs the file: workers fetch the bytes, and a resumed run has its
/// own copy.
struct StartingModel {
  /// All of the file, mapped.
  let data: Data
  /// With the digest of the bytes.
  let recipe: Recipe
  private let file: ModelFile

  /// - Returns: nil where the recipe names no model.
  /// - Throws: `SharedError` or `CheckpointError` if there is no such file, it is not safetensors, or its bytes are not
  ///   those of `init_sha256`.
  init?(_ recipe: Recipe) throws {
    guard !recipe.initial.path.isEmpty else { return nil }
    file = try ModelFile(recipe.initial.path)
    data = try file.data()
    _ = try SafeTensors(data, origin: file.path)
    let digest = sha256Hex(data)
    guard recipe.initial.sha256.isEmpty || recipe.initial.sha256 == digest else {
      throw SharedError(
        .badConfiguration,
        "\(file.path): its SHA-256 is \(digest), but 'init_sha256' is \(recipe.initial.sha256); name the right file in "
          + "'init'")
    }
    var recipe = recipe
    recipe.initial.sha256 = digest
    self.recipe = recipe
  }

  /// What the recipe's network takes from the file, and what it does not, a line each.
  /// - Throws: `SharedError` if nothing matches, or the file lacks what is frozen.
  func report() throws -> [String] {
    let network = try Network(recipe.model, engine: .openblas)
    let initial = try InitialModel(SafeTensors(data, origin: file.path), for: network, origin: file.path)
    return ["init: \(file.path)"] + initial.report.map { "init: \($0)" }
  }

  // MARK: A resumed run

  /// The copy in a run directory, if it is there and whole.
  static func kept(in directory: RunDirectory, _ recipe: Recipe) -> Data? {
    guard !recipe.initial.sha256.isEmpty,
      let data = try? Data(contentsOf: URL(fileURLWithPath: directory.initialModel), options: .mappedIfSafe),
      sha256Hex(data) == recipe.initial.sha256
    else { return nil }
    return data
  }

  /// A recipe to resume with, with the digest of the model that it names. A path that is the run's own is not read
  /// again: what lies there may be gone.
  /// - Throws: as `init`.
  static func resolved(_ given: Recipe, over kept: Recipe) throws -> Recipe {
    var recipe = given
    if given.initial.path == kept.initial.path {
      recipe.initial.sha256 = kept.initial.sha256
      return recipe
    }
    recipe.initial.sha256 = ""
    return try StartingModel(recipe)?.recipe ?? recipe
  }
}
