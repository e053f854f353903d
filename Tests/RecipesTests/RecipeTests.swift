import Foundation
import Shared
import Testing

@testable import Recipes

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
    recipe.optimizer.groups = .init([.init(pattern: NamePattern("*.bias"), rate: 2, decay: 0)])
    recipe.model.freeze = NamePatterns(["baseline_model.layer1.*", "*.bn1.*", "!*.layer1.0.*"])
    recipe.loss.classWeights = .list([Double](repeating: 0.5, count: 400))
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
    #expect(mistake("schedule: {warm_up_epochs: 1}\n").contains("did you mean 'schedule.warmup_epochs'?"))
    #expect(mistake("optimizer: {lerning_rate: 1}\n").contains("did you mean 'optimizer.learning_rate'?"))
    #expect(mistake("batches: {lanes: 1}\n").contains("did you mean 'batch'?"))
    #expect(!mistake("zzzzzz: 1\n").contains("did you mean"))
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
    #expect(mistake("freeze: [a b]\n").contains("expected a list of names"))
    #expect(mistake("optimizer: {groups: [\"*.bias rat=2\"]}\n").contains("list of name patterns with factors"))
    #expect(mistake("loss: {class_weights: [1, 2]}\n").contains("2 numbers for 400 classes"))
    #expect(mistake("loss: {class_weights: [1, -2]}\n").contains("balanced, or a list of numbers"))
    #expect(mistake("loss: {class_weights: balanced}\noptimizer: {kind: adamw, groups: [\"a* decay=0\"]}\n") == "none")
  }

  @Test("a pattern matches names of which each * may be anything")
  func patterns() {
    func matches(_ pattern: String, _ name: String) -> Bool { NamePattern(pattern).matches(name) }
    #expect(matches("a.b", "a.b") && !matches("a.b", "a.bc") && !matches("a.b", "xa.b"))
    #expect(matches("*", "") && matches("*.bias", "a.b.bias") && !matches("*.bias", "a.biases"))
    #expect(
      matches("layer*.conv*.weight", "layer1.0.conv2.weight") && !matches("layer*.conv*.weight", "layer1.bn.weight"))
    let names = NamePatterns(["a.*", "!*.c"])
    #expect(names.contains("a.b") && !names.contains("a.c") && !names.contains("b.b"))
    #expect(matches("a*b*c", "abbc") && matches("a**c", "ac") && !matches("a*b", "a"))
  }

  @Test("a pattern that matches nothing is named with the names that are nearest to it")
  func nearestNames() {
    let names = [
      "model.layer1.0.conv1.weight", "model.layer1.0.conv2.weight", "model.layer2.0.bn1.bias", "new_fc.bias",
    ]
    func mistake(_ pattern: String) -> String? { NamePattern(pattern).mistake("freeze", among: names) }
    #expect(mistake("new_fc.*") == nil)
    // A prefix is missing; a typing error; nothing like it.
    #expect(
      mistake("layer2.*")?.hasPrefix("freeze: 'layer2.*' matches no tensor; near are 'model.layer2.0.bn1.b") == true)
    #expect(mistake("*.layer1.0.covn2.*")?.contains("near are 'model.layer1.0.conv2.weight', ") == true)
    #expect(mistake("quite_another_thing")?.contains("'; near") == false)
    #expect(NamePattern("a").mistake("optimizer.groups", among: []) == "optimizer.groups: 'a' matches no tensor")
  }

  @Test("mistakes that other modules find stand in the same line as the recipe's own")
  func othersMistakes() {
    let error = #expect(throws: SharedError.self) {
      try RecipeFile(yaml: "seed: x\nfreeze: [a]\n", origin: "r.yaml") { $0.model.freeze.list.map { "no \($0.text)" } }
    }
    #expect(error?.description.hasPrefix("r.yaml: line 1: 'seed' is 'x', ") == true)
    #expect(error?.description.hasSuffix("; no a") == true)
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

  @Test("runs and checkpoints of the time before digests had versions know their recipe again")
  func version1() throws {
    // Made by the program of that time: the first is of an empty recipe, the second of cluster/demo.yaml.
    let before = "3947c48ac7bb295f37b6aa9098030be0"
    #expect(Recipe().matches(digest: before))
    var demo = Recipe()
    (demo.model.width, demo.model.groups, demo.model.inputSize) = (16, 8, 64)
    (demo.model.dropout, demo.model.classes, demo.optimizer.learningRate) = (0, 6, 0.05)
    (demo.schedule.epochs, demo.schedule.warmupEpochs) = (12, 1)
    (demo.batch.lanes, demo.batch.clipsPerLane, demo.data.flip) = (2, 8, false)
    (demo.name, demo.data.path, demo.faults.restarts) = ("demo", "/somewhere", 9)
    #expect(demo.matches(digest: "ce5c54dd5e7ea93fcf29355bb442c470"))
    #expect(!demo.matches(digest: before))
    var other = Recipe()
    other.seed = 2
    #expect(!other.matches(digest: before))
  }

  @Test("a digest has its version before it, and is of keys that differ from what they were introduced with")
  func version2() {
    #expect(Recipe().digest.hasPrefix("2:") && Recipe().digest.utf8.count == 34)
    // XXH3-128 of nothing: an empty recipe differs in nothing, and stays so whatever keys come.
    #expect(Recipe().digest == "2:99aa06d3014798d86001c324468d497f")
    var wide = Recipe()
    wide.model.width = 128
    #expect(wide.digest == "2:\(Digest128(of: Array("model.width: 128\n".utf8)))")
    #expect(wide.matches(digest: wide.digest) && !wide.matches(digest: Recipe().digest))
    var measured = Recipe()
    measured.data.evaluationCrops = 3
    #expect(measured.digest == Recipe().digest)
  }

  @Test("every key was introduced with a value that it can have, and keys that came with version 1 say their default")
  func introduced() throws {
    for field in Recipe.fields() {
      // A default that has changed since, of which the digest takes both for one; and one that is no part of it.
      let hasOtherDefault = ["data.format", "validation.every_epochs"].contains(field.path)
      #expect((field.introduced == field.write(Recipe())) != hasOtherDefault, "\(field.path)")
      #expect(field.check(Recipe()) == nil, "\(field.path)")
    }
  }

  @Test("a template of names is given in quotes, is checked, and counts in the digest where there is one")
  func imageNames() throws {
    for names in ["{:06d}.jpg", "%05d.jpg", "img_{:05d}.jpg"] {
      let recipe = try Recipe(yaml: "data: {image_names: \"\(names)\"}", origin: "r")
      #expect(recipe.data.imageNames == names && recipe.videoRules.imageNames?.text == names)
      #expect(try Recipe(yaml: recipe.yaml(), origin: "again") == recipe)
      #expect(recipe.digest == "2:\(Digest128(of: Array("data.image_names: \"\(names)\"\n".utf8)))")
    }
    #expect(Recipe().videoRules.imageNames == nil)
    #expect(
      mistake("data:\n  image_names: img_00001.jpg\n").contains(
        "line 2: 'data.image_names' is 'img_00001.jpg', expected a text that is \"\", or a file's name with one place"))
  }

  @Test("a run's recipe that lacks a key goes on as before that key existed")
  func lackingKey() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("recipe.yaml")
    try Data("seed: 3\ndata: {path: /d}\n".utf8).write(to: file)
    var expected = Recipe()
    expected.data.format = "kinetics"
    expected.validation.everyEpochs = 0
    (expected.seed, expected.data.path) = (3, "/d")
    #expect(try Recipe(ofRun: file.path) == expected)
  }

  @Test("the model that training starts from enters the digest by its bytes, never by its path")
  func initial() throws {
    let digest = String(repeating: "0a", count: 32)
    func read(_ text: String) throws -> Recipe { try Recipe(yaml: text, origin: "r") }
    let recipe = try read("init: /a/b.safetensors\ninit_sha256: \(digest)\n")
    #expect(try recipe.digest == read("init: /c\ninit_sha256: \(digest)\n").digest)
    #expect(try recipe.digest != read("").digest)
    #expect(try recipe.digest != read("init: /c\ninit_sha256: \(String(repeating: "0b", count: 32))\n").digest)
    #expect(try read("init: /a\n").digest == read("").digest)
    #expect(try read(recipe.yaml()) == recipe)
    #expect(mistake("init: a\ninit_sha256: xyz").contains("expected a text of 64 hexadecimal digits, or nothing"))
    #expect(mistake("init_sha256: \(digest)").contains("'init_sha256' is given without 'init'"))
  }

  @Test("what is validated is a measurement, and a key of the run where a plateau follows it")
  func validation() throws {
    func changed(_ base: Recipe) throws -> Recipe {
      try RecipeFile(
        yaml: "validation: {every_epochs: 2, clips: 9, stop_after: 3}\ndata: {evaluation_crops: 3}\n", origin: "r",
        over: base
      ).recipe
    }
    let found = try changed(Recipe()).differences(from: Recipe())
    #expect(found.count == 4 && found.allSatisfy { $0.isAllowed && $0.isRevision })
    #expect(try changed(Recipe()).digest == Recipe().digest)
    var plateau = Recipe()
    (plateau.schedule.kind, plateau.schedule.plateauOn) = (.plateau, .validation)
    let fixed = try changed(plateau)
    #expect(fixed.differences(from: plateau).filter(\.isAllowed).map(\.key) == ["validation.stop_after"])
    #expect(fixed.digest != plateau.digest)
    var later = plateau
    later.validation.stopAfter = 3
    #expect(later.digest == plateau.digest)
    #expect(mistake("schedule: {plateau_on: validation}\n").contains("is for 'schedule.kind: plateau' only"))
    #expect(mistake("validation: {every_epochs: 0, stop_after: 2}\n").contains("'validation.stop_after' needs"))
    #expect(
      mistake("schedule: {kind: plateau, plateau_on: validation}\nvalidation: {every_epochs: 0}\n").contains(
        "'schedule.plateau_on: validation' needs 'validation.every_epochs' of at least 1"))
  }

  @Test("a recipe read over another keeps what it does not name, and says what it names")
  func over() throws {
    var base = Recipe()
    (base.seed, base.model.width) = (7, 8)
    let file = try RecipeFile(yaml: "model: {width: 16}\nschedule: {epochs: 60}", origin: "r", over: base)
    #expect(file.recipe.seed == 7 && file.recipe.model.width == 16)
    #expect(file.lines == ["model.width": 1, "schedule.epochs": 2])
    let found = file.recipe.differences(from: base)
    #expect(found.map(\.key) == ["model.width", "schedule.epochs"])
    #expect(found.map(\.old) == ["8", "50"] && found.map(\.new) == ["16", "60"])
    #expect(found.map(\.isAllowed) == [false, true] && found.map(\.isRevision) == [false, true])
  }

  @Test("revisions change the values, not the digest, and are written and read back")
  func revisions() throws {
    let begun = Recipe()
    let revisions = [
      RecipeRevision(step: 40, key: "schedule.epochs", old: "50", new: "60"),
      RecipeRevision(step: 70, key: "data.evaluation_clips", old: "1", new: "4"),
      RecipeRevision(step: 70, key: "schedule.epochs", old: "60", new: "55"),
    ]
    let revised = try begun.revised(by: revisions)
    #expect(revised.schedule.epochs == 55 && revised.data.evaluationClips == 4)
    #expect(try revised.revised(by: revisions) == revised)
    #expect(revised.digest == begun.digest)
    #expect(revised.matches(digest: "3947c48ac7bb295f37b6aa9098030be0"))
    #expect(try Recipe(yaml: revised.yaml(), origin: "again") == revised)
    #expect(
      revised.epochRevisions == [
        EpochRevision(step: 40, old: 50, new: 60), EpochRevision(step: 70, old: 60, new: 55),
      ])
    #expect(throws: SharedError.self) {
      try begun.revised(by: [RecipeRevision(step: 1, key: "seed", old: "1", new: "2")])
    }
    #expect(mistake("revisions: [something else]\n").contains("written by Tamring alone"))
  }

  @Test("a model is refused by the rules of the recipe's keys, by whichever way it comes")
  func modelRules() throws {
    var model = ModelRecipe()
    #expect(model.mistakes == [])
    model.width = 1025
    #expect(model.mistakes == ["model.width is 1025, expected a whole number from 1 to 1024"])
    #expect(mistake("model: {width: 1025}").contains("expected a whole number from 1 to 1024"))
    (model.width, model.groups) = (64, 1026)
    #expect(model.mistakes.count == 1)
    (model.groups, model.alpha) = (16, 0)
    #expect(model.mistakes == ["model.alpha is 0, expected a whole number from 1 to 64"])
  }

  @Test("what a binary loss makes impossible is named together, and model files say that there is one")
  func binaryLoss() throws {
    let error = #expect(throws: SharedError.self) {
      try Recipe(
        yaml: "loss: {kind: binary}\ndata: {mixup: 0.4, balanced: true}\nmodel: {classes: 300000}\n", origin: "r")
    }
    let text = try #require(error?.description)
    for part in ["'data.mixup' and 'data.cutmix' mix", "'data.balanced' draws", "'model.classes' is 300000"] {
      #expect(text.contains(part), "\(text)")
    }
    let recipe = try Recipe(yaml: "loss: {kind: binary, class_weights: balanced, label_smoothing: 0.1}\n", origin: "r")
    #expect(recipe.loss.kind == .binary && !recipe.loss.weighsClips && recipe.digest != Recipe().digest)
    #expect(try Recipe(yaml: recipe.evaluationYAML, origin: "f").loss.kind == .binary)
    #expect(!Recipe().evaluationYAML.contains("loss"))
  }

  @Test("impossible combinations of a model's keys are named together")
  func modelContradictions() throws {
    func mistakes(_ change: (inout ModelRecipe) -> Void) -> [String] {
      var model = ModelRecipe()
      change(&model)
      return model.mistakes
    }
    for architecture in ModelRecipe.Architecture.allCases {
      #expect(mistakes { $0.architecture = architecture } == [])
    }
    // Odd clips are for networks that do not pair frames.
    #expect(mistakes { $0.groups = 7 } == ["model.groups is 7, expected an even number of frames for blvnet-tam"])
    #expect(mistakes { ($0.architecture, $0.groups) = (.tsn, 7) } == [])
    #expect(mistakes { ($0.architecture, $0.groups, $0.temporalStride) = (.i3d, 7, true) } == [])
    // A shift that shifts nothing, in any block.
    #expect(mistakes { ($0.architecture, $0.width, $0.shiftDiv) = (.tsm, 2, 64) } == [])
    #expect(
      mistakes { ($0.architecture, $0.width, $0.shiftDiv) = (.blvnetTSM, 2, 65) } == [
        "model.shift_div is 65, so that no channel shifts in any block (the widest has 64 channels); "
          + "expected at most that many"
      ])
    // Frames that do not fit.
    #expect(
      mistakes {
        ($0.architecture, $0.groups, $0.temporalStride, $0.temporalPooling, $0.alpha) = (.tsm, 12, true, .avg, 4)
      } == [
        "model.alpha means nothing for tsm, only for blvnet-tam, blvnet, blvnet-tsm; leave it out",
        "model.groups is 12, expected a multiple of 8 frames with 'model.temporal_stride: true'",
        "model.groups is 12, expected at least 16 frames with 'model.temporal_pooling: avg'",
      ])
    #expect(
      mistakes { ($0.architecture, $0.temporalPooling) = (.tam, .avg) } == [
        "model.temporal_pooling means nothing without 'model.temporal_stride: true'; leave it out"
      ])
    #expect(
      mistake("model: {architecture: tsn, shift_div: 4, blending_frames: 5}").contains(
        "model.blending_frames means nothing for tsn, only for blvnet-tam, blvnet, tam; leave it out; "
          + "model.shift_div means nothing for tsn"))
    var model = ModelRecipe()
    (model.alpha, model.shiftDiv, model.temporalStride, model.architecture) = (4, 4, true, .tsm)
    #expect(ModelRecipe.Architecture.allCases.allSatisfy { model.relative($0).mistakes == [] })
  }
}
