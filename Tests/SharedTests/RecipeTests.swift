import Testing

@testable import Shared

@Suite struct RecipeTests {
  private func mistake(_ yaml: String) -> String {
    do {
      _ = try Recipe(yaml: yaml, origin: "r.yaml")
      return "none"
    } catch { return "\(error)" }
  }

  @Test("what is written is read back equal")
  func roundTrip() throws {
    var recipe = Recipe()
    recipe.model.width = 16
    recipe.data.path = "a \"quoted\" \\ path"
    recipe.schedule.milestones = [3, 9]
    recipe.optimizer.learningRate = 0.05
    #expect(try Recipe(yaml: recipe.yaml(), origin: "again") == recipe)
  }

  @Test("an empty recipe is the default, a section may be empty")
  func defaults() throws {
    #expect(try Recipe(yaml: "", origin: "empty") == Recipe())
    #expect(try Recipe(yaml: "model:\n", origin: "empty") == Recipe())
  }

  @Test("unknown keys, wrong types and impossible values are named with their line")
  func mistakes() {
    #expect(mistake("name: x\nmodle:\n  depth: 50\n").contains("line 2: unknown key 'modle'"))
    #expect(
      mistake("model:\n  depth: 51\n").contains("line 2: 'model.depth' is '51', expected a whole number 50, 101 or 152")
    )
    #expect(mistake("depth: 50\n").contains("did you mean 'model.depth'?"))
    #expect(mistake("model:\n  width: wide\n").contains("expected a whole number"))
    #expect(mistake("model: 3\n").contains("'model' is a section"))
    #expect(mistake("model:\n  depth: {a: 1}\n").contains("holds a section"))
    #expect(mistake("seed: -1\n").contains("'seed' is '-1'"))
    #expect(mistake("schedule: {kind: multi-step}\n").contains("milestones"))
    #expect(mistake("engine: openblas\nprecision: bf16\n").contains("'precision: bf16' needs 'engine: onednn'"))
    #expect(mistake("emulate_bf16: true\n").contains("'emulate_bf16: true' is for 'precision: bf16'"))
    #expect(mistake("precision: bf16\nemulate_bf16: true\n") == "none")
    #expect(mistake("precision: half\n").contains("one of float32, bf16"))
    #expect(mistake("a: [1\n").contains("not valid YAML"))
    #expect(mistake("- 1\n").contains("mapping"))
    #expect(mistake("name: ../up\n").contains("'name'"))
  }

  @Test("the digest follows what decides the bits, and nothing else")
  func digest() {
    var other = Recipe()
    other.data.path = "/elsewhere"
    other.checkpoint.keep = 9
    #expect(other.digest == Recipe().digest)
    other.seed = 2
    #expect(other.digest != Recipe().digest)
    var narrow = Recipe()
    narrow.precision = .bf16
    #expect(narrow.digest != Recipe().digest)
    let native = narrow.digest
    narrow.emulateBF16 = true
    #expect(narrow.digest != native)
  }
}
