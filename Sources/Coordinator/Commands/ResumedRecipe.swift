// The recipe of a resumed run: the one in its directory, with the values that the user changed.
import Foundation
import Recipes
import RunJournal
import Shared

/// The recipe of a resumed run.
struct ResumedRecipe {
  /// With the present values and all revisions.
  let recipe: Recipe
  /// The new revisions. The journal must hold them before a step uses them.
  let revisions: [RecipeRevision]

  /// - Parameters:
  ///   - kept: the recipe in the run directory.
  ///   - given: the recipe to resume with.
  ///   - done: how many steps are committed.
  ///   - steps: of the run.
  /// - Throws: `SharedError(.badConfiguration)` naming each key whose change is not allowed.
  init(_ kept: Recipe, given: Recipe, done: Int, steps: StepPlan, directory: String) throws {
    let differences = given.differences(from: kept)
    let refused = differences.filter { !$0.isAllowed }
    guard refused.isEmpty else {
      let keys = differences.filter { !$0.isAllowed || $0.isRevision }.map { "\($0.key) is \($0.new), was \($0.old)" }
      throw SharedError(
        .badConfiguration,
        "\(directory): this run was begun with another recipe: \(keys.joined(separator: "; ")); use the values of its "
          + "recipe.yaml, or another --run-dir")
    }
    // Steps may have been rolled back since the last revision, but revisions stay in the order of their steps.
    let step = max(done, kept.revisions.last?.step ?? 0)
    let (epochs, begun) = (given.schedule.epochs, steps.epochs(ofSteps: step))
    guard epochs >= begun else {
      throw SharedError(
        .badConfiguration,
        "\(directory): schedule.epochs is \(epochs), but \(step) steps are done, which are more; give at least "
          + "\(begun), or another --run-dir")
    }
    revisions = differences.filter(\.isRevision).map {
      RecipeRevision(step: step, key: $0.key, old: $0.old, new: $0.new)
    }
    var recipe = given
    recipe.revisions = kept.revisions + revisions
    self.recipe = recipe
  }

  /// The recipe in a run directory, with the journal's revisions applied. If the file is missing or altered, the given
  /// recipe replaces it, provided that the run began with it.
  /// - Throws: `SharedError` if the run began with neither.
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
