// What a run goes on with, where what is given differs from what its directory keeps.
import Foundation
import Recipes
import Shared
import TestSupport
import Testing

@testable import Coordinator

@Suite struct ResumedRecipeTests {
  private func resumed(
    _ kept: Recipe = Recipe(), done: Int = 20, _ change: (inout Recipe) -> Void
  ) throws -> ResumedRecipe {
    var given = kept
    change(&given)
    return try ResumedRecipe(kept, given: given, done: done, steps: StepPlan(stepsPerEpoch: 6), directory: "runs/x")
  }

  @Test("every key that may not change is named with both values, on one line, the seed too")
  func refused() {
    let error = #expect(throws: SharedError.self) {
      try resumed {
        ($0.seed, $0.model.width, $0.schedule.epochs, $0.data.trainList) = (2, 8, 60, "other.csv")
        ($0.faults.restarts, $0.data.path) = (9, "/elsewhere")
      }
    }
    #expect(error?.status == .badConfiguration)
    #expect(
      error?.description
        == "runs/x: this run was begun with another recipe: seed is 2, was 1; model.width is 8, was 64; "
        + "schedule.epochs is 60, was 50; data.train_list is \"other.csv\", was \"train.csv\"; use the values of its "
        + "recipe.yaml, or another --run-dir")
  }

  @Test("what decides no bits may change, and is no revision")
  func free() throws {
    let found = try resumed { ($0.name, $0.faults.restarts, $0.checkpoint.keep, $0.data.path) = ("y", 9, 1, "/d") }
    #expect(found.revisions == [] && found.recipe.name == "y" && found.recipe.faults.restarts == 9)
  }

  @Test("epochs and evaluation may change, from the next step on, or from the last revision's if that is later")
  func revised() throws {
    let found = try resumed { ($0.schedule.epochs, $0.data.evaluationCrops) = (60, 3) }
    let revisions = [
      RecipeRevision(step: 20, key: "schedule.epochs", old: "50", new: "60"),
      RecipeRevision(step: 20, key: "data.evaluation_crops", old: "1", new: "3"),
    ]
    #expect(found.revisions == revisions && found.recipe.revisions == revisions)
    let again = try resumed(found.recipe, done: 14) { $0.schedule.epochs = 70 }
    #expect(again.revisions == [RecipeRevision(step: 20, key: "schedule.epochs", old: "60", new: "70")])
    #expect(again.recipe.revisions == revisions + again.revisions)
    #expect(again.recipe.digest == Recipe().digest)
    #expect(try resumed(found.recipe) { _ in }.revisions == [])
  }

  @Test("fewer epochs than are done are refused, with the fewest that are possible")
  func tooFew() throws {
    let error = #expect(throws: SharedError.self) { try resumed { $0.schedule.epochs = 3 } }
    #expect(
      error?.description.contains("schedule.epochs is 3, but 20 steps are done, which are more; give at least 4")
        == true)
    #expect(try resumed { $0.schedule.epochs = 4 }.revisions.count == 1)
    #expect(try resumed(done: 18) { $0.schedule.epochs = 3 }.revisions.count == 1)
  }

  @Test("a key that the given file does not name is the run's; a seed on the command line counts as given")
  func notNamed() throws {
    let folder = try TemporaryFolder()
    try folder.write("model: {width: 8}\n", to: "r.yaml")
    var kept = Recipe()
    (kept.model.width, kept.seed, kept.model.classes, kept.data.path) = (8, 5, 7, "/d")
    let given = try GivenRecipe(file: folder.path("r.yaml"), runDirectory: nil, seed: nil)
    #expect(try given.over(kept) == kept)
    #expect(given.directory == "runs/run" && !given.needsValidation)
    let seeded = try GivenRecipe(file: folder.path("r.yaml"), runDirectory: "d", seed: 6)
    #expect(try seeded.over(kept).differences(from: kept).map(\.key) == ["seed"])
    try folder.write("data: {validation_list: v.csv}\nrevisions: [schedule.epochs 3 -> 50 from step 9]\n", to: "r.yaml")
    let copied = try GivenRecipe(file: folder.path("r.yaml"), runDirectory: "d", seed: nil)
    #expect(copied.needsValidation && copied.recipe.revisions == [])
  }

  @Test("without a recipe a run goes on with its own, and a new one is the demo, which is cluster/demo.yaml")
  func noFile() throws {
    let folder = try TemporaryFolder()
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    var demo = try GivenRecipe(file: nil, runDirectory: folder.path("none"), seed: nil).recipe
    #expect(demo.data.path.hasSuffix("/demo-data") && demo.model.classes == 6)
    var file = try Recipe.read(path: root.appendingPathComponent("cluster/demo.yaml").path)
    (demo.data.path, file.data.path) = ("", "")
    #expect(demo == file)
    var kept = Recipe()
    (kept.model.width, kept.data.path) = (8, "/d")
    try folder.write(kept.yaml(), to: "recipe.yaml")
    #expect(try GivenRecipe(file: nil, runDirectory: folder.path("."), seed: nil).recipe == kept)
  }
}
