// A network that is this file and one line of a registry: it trains, is saved and goes on.
import Checkpoint
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

/// A convolution, batch norm, a pool, and a class head.
private struct ToyNetwork: ModelDefinition {
  func check(_ recipe: ModelRecipe) throws {
    try require(recipe.width >= 2, "width", recipe.width, "at least 2")
  }

  func build(_ recipe: ModelRecipe, _ builder: inout StructureBuilder) {
    let input = builder.value(
      frames: recipe.groups, height: recipe.inputSize, width: recipe.inputSize, channels: 3)
    var x = builder.convolution("stem", input, recipe.width, kernel: 3, stride: 2)
    x = builder.norm("stem_norm", x, relu: true)
    x = builder.averagePool("pool", x)
    builder.classifier("top", x, classes: recipe.classes, dropout: recipe.dropout, deviation: 0.1)
  }
}

extension ModelRecipe.Architecture {
  fileprivate static let toy = ModelRecipe.Architecture("toy")
}

private let models = Models.all.merging([.toy: ToyNetwork()]) { old, _ in old }

func toyNetwork(_ change: (inout ModelRecipe) -> Void = { _ in }) throws -> Network {
  var recipe = ModelRecipe()
  recipe.architecture = .toy
  (recipe.width, recipe.groups, recipe.inputSize, recipe.classes, recipe.dropout) = (5, 2, 16, 3, 0)
  change(&recipe)
  return try Network(recipe, engine: OpenBLASEngine(), of: models)
}

@Suite struct ToyNetworkTests {
  @Test("a network of one file and one line trains, is saved under its names, and goes on to the same bits")
  func toy() throws {
    let network = try toyNetwork()
    #expect(
      network.layout.parameters.map(\.name)
        == ["stem.weight", "stem_norm.bias", "stem_norm.weight", "top.bias", "top.weight"])
    #expect(network.layout.statistics.map(\.name) == ["stem_norm.running_mean", "stem_norm.running_var"])
    let whole = ShortTraining(network, SGD(OptimizerRecipe()))
    whole.state.initialise()
    let losses = try whole.train(steps: 12)
    #expect(losses[11] < 0.98 * losses[0], "\(losses)")

    let first = ShortTraining(network, SGD(OptimizerRecipe()))
    first.state.initialise()
    _ = try first.train(steps: 5)
    let second = ShortTraining(network, SGD(OptimizerRecipe()))
    try second.state.load(first.state.files())
    #expect(second.state.digest == first.state.digest)
    _ = try second.train(steps: 7)
    #expect(second.state.digest == whole.state.digest)
    #expect(try second.state.files() == whole.state.files())
  }

  @Test("its convolution and norm are one layer in evaluation form, and its profile has all of its layers")
  func evaluation() throws {
    let network = try toyNetwork()
    #expect(network.structure.evaluationLayers.map(\.name) == ["stem", "pool"])
    #expect(Profile(network).rows.map(\.name) == ["stem", "stem_norm", "pool", "top"])
  }

  @Test("its own check, and an architecture that does not exist, are refused by the name of the key")
  func refusals() throws {
    let narrow = #expect(throws: BLVNetError.self) { try toyNetwork { $0.width = 1 } }
    #expect(narrow?.description == "model.width is 1; it must be at least 2")
    let unknown = #expect(throws: BLVNetError.self) { try toyNetwork { $0.architecture = .init("toi") } }
    #expect(unknown?.status == .badConfiguration)
    #expect(
      unknown?.description
        == "model.architecture is toi; it must be one of blvnet, blvnet-tam, blvnet-tsm, i3d, tam, toy, tsm, "
        + "tsn")
  }

  @Test("every architecture that a recipe can name has a definition", arguments: ModelRecipe.Architecture.allCases)
  func complete(_ architecture: ModelRecipe.Architecture) { #expect(Models.all[architecture] != nil) }

  @Test("the scales of a step are for its own batch: eight times the clips have scales eight times as large")
  func comingBatch() throws {
    func exponents(clipsPerLane: Int) throws -> [Int32] {
      let shape = ClipShape(frames: 1, size: 1)
      let plan = StepPlan(
        clips: 4, lanes: 1,
        stages: [4, clipsPerLane].map {
          StepPlan.Stage(epochs: 1, cycle: [StepPlan.Grid(shape, clipsPerLane: $0)])
        })
      let training = ShortTraining(try toyNetwork(), SGD(OptimizerRecipe()), steps: plan)
      training.state.initialise()
      _ = try training.train(steps: 1)
      return training.state.exponents
    }
    let (same, larger) = (try exponents(clipsPerLane: 4), try exponents(clipsPerLane: 32))
    for (a, b) in zip(same, larger) { #expect(b == a + 3 || a == -40 && b == -40, "\(a), \(b)") }
    #expect(same != larger)
  }
}
