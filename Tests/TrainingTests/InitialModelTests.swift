// What training takes from a model file.
import Foundation
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

@Suite struct InitialModelTests {
  private func file(_ tensors: [String: ([Int], [Float])], of recipe: Recipe? = nil) throws -> SafeTensors {
    var writer = SafeTensorsWriter()
    if let recipe { writer.metadata = ModelDescription(recipe, classes: []).metadata }
    for (name, (shape, values)) in tensors { writer.add(name, .float32, shape: shape, values) }
    return try SafeTensors(writer.bytes(), origin: "f")
  }

  @Test("what has the name and the shape is taken, a head of other classes is not, and the rest begins anew")
  func matches() throws {
    let network = try toyNetwork()
    let stem = (0..<135).map { Float($0) / 100 }
    let initial = try InitialModel(
      file([
        "stem.weight": ([5, 3, 3, 3], stem), "stem_norm.running_var": ([5], [1, 2, 3, 4, 5]),
        "top.weight": ([4, 5], [Float](repeating: 1, count: 20)), "other": ([1], [1]),
        "stem_norm.num_batches_tracked": ([1], [1]),
      ]), for: network, origin: "f")
    #expect(initial.taken == ["stem.weight", "stem_norm.running_var"])
    #expect(initial.skipped.map(\.name) == ["other", "top.weight"])
    #expect(
      initial.missing == ["stem_norm.bias", "stem_norm.weight", "top.bias", "top.weight", "stem_norm.running_mean"])
    #expect(
      initial.report == [
        "taken from the file: 2 (stem.*, stem_norm.running_var)",
        "skipped in the file: 2 (other: not of this network; top.*: F32 [4, 5], here F32 [3, 5])",
        "beginning anew: 5 (stem_norm.bias, stem_norm.running_mean, stem_norm.weight, top.*)",
      ])

    func state(_ initial: InitialModel?) -> TrainingState {
      let plan = TrainingPlan(Recipe(), steps: Recipe().steps(clips: 96), indexDigest: "index")
      let state = TrainingState(network, SGD(OptimizerRecipe()), plan, initial: initial)
      state.initialise()
      return state
    }
    let (begun, plain) = (state(initial), state(nil))
    #expect(begun.digest != plain.digest)
    for tensor in network.layout.parameters {
      let expected = tensor.name == "stem.weight" ? stem : plain.parameters.array(tensor.range)
      #expect(begun.parameters.array(tensor.range) == expected, "\(tensor.name)")
    }
    #expect(begun.statistics.array(0..<10) == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5])
    #expect(state(initial).digest == begun.digest)

    // An average of the weights begins with those of the file, too.
    var settings = UpdateSettings()
    settings.averageDecay = 0.9
    let averaged = TrainingState(
      network, SGD(OptimizerRecipe()), TrainingPlan(Recipe(), steps: Recipe().steps(clips: 96), indexDigest: "index"),
      settings: settings, initial: initial)
    averaged.initialise()
    let trainer = try SafeTensors(averaged.files().trainer, origin: "trainer")
    #expect(try trainer.floats("ema.stem.weight") == stem)
  }

  @Test("a file of which nothing matches, or with numbers that no network has, is refused in one line")
  func refusals() throws {
    let network = try toyNetwork()
    func refusal(_ tensors: [String: ([Int], [Float])]) throws -> String {
      let file = try file(tensors)
      return #expect(throws: SharedError.self) { try InitialModel(file, for: network, origin: "f") }?.description ?? ""
    }
    #expect(
      try refusal(["a": ([1], [1])]).hasPrefix("f: none of its 1 tensors, such as 'a', belongs to toy of depth 50"))
    #expect(try refusal([:]).hasPrefix("f: none of its 0 tensors belongs to toy"))
    #expect(try refusal(["top.bias": ([3], [1, .nan, 1])]).contains("'top.bias' holds a number that no network has"))
    #expect(try refusal(["stem_norm.running_var": ([5], [1, 1, 1, 1, -1])]).contains("'stem_norm.running_var' holds"))
  }

  @Test("a file that says which network it is of is refused in the recipe's words, and another depth is reported")
  func anotherNetwork() throws {
    var recipe = Recipe()
    (recipe.model.architecture, recipe.model.depth, recipe.model.width) = (.tsn, 101, 16)
    let bias: [String: ([Int], [Float])] = ["top.bias": ([3], [1, 2, 3])]
    func initial(_ tensors: [String: ([Int], [Float])], freeze: [String] = []) throws -> InitialModel {
      try InitialModel(
        file(tensors, of: recipe), for: toyNetwork { $0.freeze = NamePatterns(freeze) }, origin: "f")
    }
    func refusal(_ tensors: [String: ([Int], [Float])], freeze: [String] = []) -> SharedError? {
      #expect(throws: SharedError.self) { try initial(tensors, freeze: freeze) }
    }
    let words = "its model.architecture is tsn, the recipe says toy; its model.depth is 101, the recipe says 50"
    let advice = "; make the recipe's 'model' that of the file, or name another in 'init'"
    // Whatever matches by chance.
    let width = refusal(bias)
    #expect(width?.status == .badConfiguration)
    #expect(width?.description == "f: \(words); its model.width is 16, the recipe says 5\(advice)")
    recipe.model.width = 5
    #expect(refusal(["a": ([1], [1])])?.description == "f: \(words)\(advice)")
    #expect(refusal(bias, freeze: ["stem*"])?.description == "f: \(words)\(advice)")
    #expect(try initial(bias).report.first == "another network: \(words)")
    // The classes, and what changes no tensor, are no other network.
    (recipe.model.depth, recipe.model.classes, recipe.model.dropout) = (50, 7, 0.1)
    #expect(try initial(bias).difference == "its model.architecture is tsn, the recipe says toy")
  }

  @Test("a file that lacks what is frozen is refused by name: it would stay at initial values")
  func frozen() throws {
    let norm: [String: ([Int], [Float])] = [
      "stem_norm.weight": ([5], [1, 1, 1, 1, 1]), "stem_norm.bias": ([5], [0, 0, 0, 0, 0]),
    ]
    func initial(_ freeze: String, _ tensors: [String: ([Int], [Float])]) throws -> InitialModel {
      try InitialModel(file(tensors), for: toyNetwork { $0.freeze = NamePatterns([freeze]) }, origin: "f")
    }
    let error = #expect(throws: SharedError.self) { try initial("stem*", norm) }
    #expect(error?.status == .badConfiguration)
    #expect(
      error?.description.hasPrefix("f: lacks stem.*, stem_norm.running_mean, stem_norm.running_var, which ") == true)
    #expect(try initial("stem_norm.weight", norm).missing.contains("stem.weight"))
  }

  @Test("names fold to the branches that are whole, and every name is said")
  func folding() {
    let all = ["a.b.c", "a.b.d", "a.e", "f.g", "h"]
    #expect(folded(["a.b.c", "a.b.d", "h"], among: all) == ["a.b.*", "h"])
    #expect(folded(all, among: all) == ["all"])
    #expect(folded(["a.b.c", "f.g"], among: all) == ["a.b.c", "f.*"])
    #expect(folded([], among: all) == [])
  }
}
