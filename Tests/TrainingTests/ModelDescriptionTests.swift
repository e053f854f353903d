// What model files say of themselves.
import Checkpoint
import Foundation
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

@Suite struct ModelDescriptionTests {
  @Test("a model file says its network, how clips are sampled, and the names of its classes, and is read back")
  func roundTrip() throws {
    var recipe = Recipe()
    (recipe.model.depth, recipe.model.width, recipe.model.classes) = (101, 16, 3)
    (recipe.data.sampling, recipe.data.denseStride, recipe.data.evaluationScaleUp) = (.dense, 7, false)
    (recipe.optimizer.learningRate, recipe.name) = (0.3, "mine")
    let names = ["up \"and\" down", "é/\n", ""]
    var file = SafeTensorsWriter()
    file.metadata = ModelDescription(recipe, classes: names).metadata
    let read = try #require(try ModelDescription(SafeTensors(file.bytes(), origin: "f"), origin: "f"))
    #expect(read.classes == names)
    #expect(read.recipe.model == recipe.model)
    #expect(read.recipe.data.sampling == .dense && read.recipe.data.denseStride == 7)
    #expect(!read.recipe.data.evaluationScaleUp)
    // What does not matter to evaluation is not told.
    #expect(read.recipe.name == Recipe().name && read.recipe.optimizer == Recipe().optimizer)
  }

  @Test("a revised recipe leaves the bytes of model files as they were")
  func revised() throws {
    var recipe = Recipe()
    let before = ModelDescription(recipe, classes: ["a"]).metadata
    recipe.data.evaluationScaleUp = false
    #expect(ModelDescription(recipe, classes: ["a"]).metadata != before)
    recipe.revisions = [RecipeRevision(step: 9, key: "data.evaluation_scale_up", old: "true", new: "false")]
    #expect(ModelDescription(recipe, classes: ["a"]).metadata == before)
  }

  @Test("a file that says nothing has no description; one that says what cannot be is refused in one line")
  func others() throws {
    var file = SafeTensorsWriter()
    #expect(try ModelDescription(SafeTensors(file.bytes(), origin: "f"), origin: "f") == nil)
    file.metadata = ["tamring_recipe": "model:\n  depth: 51\n"]
    let depth = #expect(throws: SharedError.self) {
      try ModelDescription(SafeTensors(file.bytes(), origin: "f"), origin: "f")
    }
    #expect(
      depth?.description.contains("f: its recipe: line 2: 'model.depth' is '51'") == true,
      "\(String(describing: depth))")
    file.metadata = ["tamring_recipe": "model:\n  depth: 50\n", "tamring_classes": "{}"]
    #expect(throws: SharedError.self) { try ModelDescription(SafeTensors(file.bytes(), origin: "f"), origin: "f") }
  }

  @Test("the state's files have the description, and the state's digest does not cover it")
  func inFiles() throws {
    let (plain, described) = try (ShortTraining(toyNetwork(), SGD(OptimizerRecipe())), toyNetwork())
    plain.state.initialise()
    let plan = TrainingPlan(Recipe(), steps: Recipe().steps(clips: 96), indexDigest: "index", classes: ["a", "b"])
    let state = TrainingState(described, SGD(OptimizerRecipe()), plan)
    state.initialise()
    let files = try state.files()
    let metadata = try SafeTensors(files.model, origin: "m").metadata
    #expect(metadata["tamring_classes"] == #"["a","b"]"# && metadata["format"] == "pt")
    #expect(try files.stateDigest() == state.digest)
  }
}
