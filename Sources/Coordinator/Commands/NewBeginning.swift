// A run that begins anew with another recipe, since no step of it was ever committed.
import Checkpoint
import Foundation
import Recipes
import RunJournal
import Shared

/// Why a run begins anew. Its recipe is then read as that of a new run: keys that it does not name have their defaults.
struct NewBeginning {
  /// What is different, for the user and the journal.
  let line: String

  /// - Returns: nil where the run goes on: it has steps, or workers that may have some, or nothing has changed that a
  ///   run could not go on with.
  /// - Throws: `JournalError` or `CheckpointError` if either cannot be read; as `StartingModel` for a new initial
  ///   model.
  init?(_ journal: Journal, _ directory: RunDirectory, _ run: RunRecord, given: GivenRecipe) throws {
    let store = try CheckpointStore(directory.checkpoints, access: .reading)
    guard try journal.stepsHeld() == 0, try journal.presentMembers().count == journal.vanishedMembers().count,
      try store.list().allSatisfy({ $0 == 0 })
    else { return nil }
    var changes: [String] = []
    let whole = (try? StartingModel(given.recipe)?.recipe) ?? given.recipe
    if let kept = try? ResumedRecipe.kept(in: directory, journal, run, given: whole) {
      changes = try StartingModel.resolved(given.recipe, over: kept).differences(from: kept).filter { !$0.isAllowed }
        .map { "\($0.key) is \($0.new), was \($0.old)" }
    } else if given.file != nil {
      changes = ["its recipe.yaml is not the one that it was begun with"]
    }
    // A new beginning that was cut off has made an index, and not journaled it.
    if changes.isEmpty, (try? directory.index.indexes())?.train.digest.description != run.indexDigest {
      changes = ["its index is not the one that it was begun with"]
    }
    guard !changes.isEmpty else { return nil }
    line = "no step was committed, so the run begins anew: \(changes.joined(separator: "; "))"
  }

  /// Puts away what belongs to the recipe before.
  func tidy(_ directory: RunDirectory, _ store: CheckpointStore, _ plan: RunPlan) throws {
    for step in try store.list() { try store.setAside(step) }
    if plan.initialModel == nil { unsafe unlink(directory.initialModel) }
  }
}
