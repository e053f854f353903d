// The recipe of a resumed run: the one that its directory keeps, and the given values that differ.
import Foundation
import Recipes
import RunJournal
import Shared

/// The recipe of a resumed run.
struct ResumedRecipe {
  /// With every value in force, and all revisions.
  let recipe: Recipe
  /// Those that are new, and for the journal to keep before a step goes by them.
  let revisions: [RecipeRevision]

  /// - Parameters:
  ///   - kept: the recipe that the run directory keeps.
  ///   - given: the one that it is to go on with.
  ///   - done: committed steps.
  /// - Throws: `SharedError(.badConfiguration)` that names each key that may not change, or not so.
  init(_ kept: Recipe, given: Recipe, done: Int, stepsPerEpoch: Int, directory: String) throws {
    let differences = given.differences(from: kept)
    let refused = differences.filter { !$0.isAllowed }
    guard refused.isEmpty else {
      let keys = differences.filter { !$0.isAllowed || $0.isRevision }.map { "\($0.key) is \($0.new), was \($0.old)" }
      throw SharedError(
        .badConfiguration,
        "\(directory): this run was begun with another recipe: \(keys.joined(separator: "; ")); use the values of its "
          + "recipe.yaml, or another --run-dir")
    }
    // Steps may have been rolled back since the last revision: the order of steps is that of revisions.
    let step = max(done, kept.revisions.last?.step ?? 0)
    let epochs = given.schedule.epochs
    guard epochs >= (step + stepsPerEpoch - 1) / stepsPerEpoch else {
      throw SharedError(
        .badConfiguration,
        "\(directory): schedule.epochs is \(epochs), but \(step) steps of \(stepsPerEpoch) an epoch are done; give at "
          + "least \((step + stepsPerEpoch - 1) / stepsPerEpoch), or another --run-dir")
    }
    revisions = differences.filter(\.isRevision).map {
      RecipeRevision(step: step, key: $0.key, old: $0.old, new: $0.new)
    }
    var recipe = given
    recipe.revisions = kept.revisions + revisions
    self.recipe = recipe
  }

  /// The recipe that a run directory keeps, with the journal's revisions in force. Where the file is gone or altered,
  /// the recipe that is given takes its place, if it is the one that the run was begun with.
  /// - Throws: `SharedError` where neither is.
  static func kept(in directory: RunDirectory, _ journal: Journal, _ run: RunRecord, given: Recipe) throws -> Recipe {
    let revisions = try journal.revisions()
    let file = Result { try Recipe(ofRun: directory.recipe).revised(by: revisions) }
    if let kept = try? file.get(), kept.matches(digest: run.recipeDigest) { return kept }
    if let kept = try? given.revised(by: revisions), kept.matches(digest: run.recipeDigest) { return kept }
    _ = try file.get()
    throw SharedError(
      .badData,
      "\(directory.recipe): is not the recipe that this run was begun with, and neither is the one given; restore it")
  }
}
