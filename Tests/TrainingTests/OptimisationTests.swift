// AdamW and what surrounds an update rule, against numbers of PyTorch.
import Checkpoint
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

@Suite struct OptimisationTests {
  /// Trains the toy network's parameters on the fixture's gradients, as floats.
  private func run(_ fixture: OptimisationFixture, _ change: (inout OptimizerRecipe) -> Void) throws -> StateSlots {
    var recipe = OptimizerRecipe()
    change(&recipe)
    let network = try toyNetwork()
    let slots = StateSlots(network, try recipe.makeRule(), try UpdateSettings(recipe, network.layout))
    slots.parameters.copy(from: FloatStorage(fixture.start))
    slots.beginAverage()
    return slots
  }

  private func expect(
    _ run: OptimisationFixture.Run, _ fixture: OptimisationFixture, rate: Float, _ slots: StateSlots
  ) {
    for (step, gradient) in fixture.gradients.enumerated() {
      // The sum over four clips, of which PyTorch has the mean.
      slots.update(
        .summed(FloatStorage(gradient.map { 4 * $0 })), divisor: 4, rate: rate, step: UInt64(step))
      expectClose(slots.parameters.array, run.after[step], "step \(step)")
    }
  }

  @Test("AdamW takes PyTorch's steps")
  func adamw() throws {
    let fixture = try OptimisationFixture.read()
    let slots = try run(fixture) {
      $0.kind = .adamw
      ($0.beta1, $0.beta2, $0.epsilon, $0.weightDecay) = (0.8, 0.99, 1e-6, 0.1)
    }
    expect(fixture.adamw, fixture, rate: 0.02, slots)
  }

  @Test("AdamW from integers is AdamW from the floats that they stand for")
  func integers() throws {
    var recipe = OptimizerRecipe()
    recipe.kind = .adamw
    let network = try toyNetwork()
    let exponents = network.layout.parameters.indices.map { Int32($0 % 2 == 0 ? -10 : -20) }
    let integers = randomNumbers(network.layout.parameterCount, seed: 3).array.map { Int32($0 * 10_000) }
    var floats: [Float] = []
    for (tensor, exponent) in zip(network.layout.parameters, exponents) {
      floats += integers[tensor.range].map { Float($0) * Float(sign: .plus, exponent: Int(exponent), significand: 1) }
    }
    func run(_ gradient: StepGradient) throws -> [[Float]] {
      let slots = StateSlots(network, try recipe.makeRule())
      slots.parameters.copy(from: randomNumbers(slots.parameters.count, seed: 1))
      for step in 0..<2 { slots.update(gradient, divisor: 3, rate: 0.25, step: UInt64(step)) }
      return [slots.parameters.array] + slots.ruleSlots.map(\.array)
    }
    #expect(
      try run(.reduced(AlignedStorage(integers), exponents: exponents)) == run(.summed(FloatStorage(floats))))
  }

  @Test("gradients are clipped by their norm over all tensors, as by PyTorch, and left alone below it")
  func clipping() throws {
    let fixture = try OptimisationFixture.read()
    let (clipped, free) = try (
      run(fixture) { ($0.weightDecay, $0.clipNorm) = (0.01, 0.5) },
      run(fixture) { ($0.weightDecay, $0.clipNorm) = (0.01, 1000) }
    )
    expect(fixture.clipped, fixture, rate: 0.1, clipped)
    expect(fixture.notClipped, fixture, rate: 0.1, free)
    let ranges = clipped.layout.gradients
    for (gradient, norm) in zip(fixture.gradients, fixture.clipped.norms) {
      let found = GradientNorm.norm(.summed(FloatStorage(gradient)), ranges)
      #expect(abs(found - norm) < 1e-6 * norm)
    }
    // Of integers with a scale for each tensor, the same as of the floats.
    let exponents = ranges.indices.map { Int32(-8 + $0) }
    let integers = (0..<ranges[4].upperBound).map { Int32($0 * 7919 % 2001 - 1000) }
    var floats: [Float] = []
    for (range, exponent) in zip(ranges, exponents) {
      floats += integers[range].map { Float($0) * Float(sign: .plus, exponent: Int(exponent), significand: 1) }
    }
    let exact = GradientNorm.norm(.reduced(AlignedStorage(integers), exponents: exponents), ranges)
    #expect(abs(exact - GradientNorm.norm(.summed(FloatStorage(floats)), ranges)) < 1e-9 * exact)
  }

  @Test("the average of the weights follows PyTorch's numbers, is a slot of the state, and goes on after loading")
  func average() throws {
    let fixture = try OptimisationFixture.read()
    let slots = try run(fixture) { ($0.weightDecay, $0.ema) = (0.01, 0.9) }
    expect(fixture.average, fixture, rate: 0.1, slots)
    expectClose(try #require(slots.average).array, fixture.average.average)
    #expect(slots.all.map(\.name) == ["parameters", "momentum", "ema", "statistics", "scales"])

    let whole = try training { $0.ema = 0.75 }
    whole.state.initialise()
    _ = try whole.train(steps: 6)
    let first = try training { $0.ema = 0.75 }
    first.state.initialise()
    _ = try first.train(steps: 2)
    #expect(try first.state.files().stateDigest() == first.state.digest)
    let second = try training { $0.ema = 0.75 }
    try second.state.load(first.state.files())
    _ = try second.train(steps: 4)
    #expect(second.state.digest == whole.state.digest)
    let files = try whole.state.files()
    let averaged = try SafeTensors(files.averagedModel(), origin: "average")
    let trainer = try SafeTensors(files.trainer, origin: "trainer")
    #expect(try averaged.entries.count == SafeTensors(files.model, origin: "model").entries.count)
    #expect(try averaged.floats("top.weight") == trainer.floats("ema.top.weight"))
    #expect(try averaged.floats("stem_norm.running_mean") == whole.state.statistics.array(0..<5))
    #expect(throws: CheckpointError.self) { try plainFiles().averagedModel() }
    // The average changes nothing else.
    let plain = try training { _ in }
    plain.state.initialise()
    _ = try plain.train(steps: 6)
    #expect(try plain.state.files().model == whole.state.files().model)
  }

  private func plainFiles() throws -> CheckpointFiles {
    let training = try training { _ in }
    training.state.initialise()
    return try training.state.files()
  }

  private func training(
    _ model: (inout ModelRecipe) -> Void = { _ in }, weights: LossRecipe.ClassWeights = .equal,
    _ change: (inout OptimizerRecipe) -> Void
  ) throws -> ShortTraining {
    var recipe = OptimizerRecipe()
    change(&recipe)
    let network = try toyNetwork(model)
    return ShortTraining(network, try recipe.makeRule(), try UpdateSettings(recipe, network.layout), weights)
  }

  @Test("groups have rates and weight decays of their own, as PyTorch's, and the first that matches counts")
  func groups() throws {
    let fixture = try OptimisationFixture.read()
    typealias Group = OptimizerRecipe.Group
    let groups = OptimizerRecipe.Groups([
      Group(pattern: NamePattern("top.*"), rate: 10), Group(pattern: NamePattern("stem_norm*"), decay: 0),
      Group(pattern: NamePattern("*.bias"), rate: 0),
    ])
    let (sgd, adamw) = try (
      run(fixture) { ($0.weightDecay, $0.groups) = (0.1, groups) },
      run(fixture) { ($0.kind, $0.weightDecay, $0.groups) = (.adamw, 0.1, groups) }
    )
    expect(fixture.sgdGroups, fixture, rate: 0.02, sgd)
    expect(fixture.adamwGroups, fixture, rate: 0.02, adamw)
    let error = #expect(throws: SharedError.self) {
      try run(fixture) { $0.groups = .init([Group(pattern: NamePattern("stem.wait"))]) }
    }
    #expect(
      error?.description.hasPrefix("optimizer.groups: 'stem.wait' matches no tensor; near are 'stem.weight', ") == true)
  }

  @Test("the loss and its gradient are PyTorch's, with smoothing, weights and mixed labels")
  func losses() throws {
    let fixture = try OptimisationFixture.read().losses
    let classes = 5
    for expected in fixture.cases {
      let loss = ClassLoss(smoothing: expected.smoothing, weights: expected.weighted ? fixture.weights : [])
      for clip in fixture.labels.indices {
        let range = clip * classes..<(clip + 1) * classes
        let target =
          expected.mixed
          ? ClassTarget(fixture.labels[clip], share: fixture.share[clip], other: fixture.other[clip])
          : ClassTarget(fixture.labels[clip])
        var gradient = [Float](repeating: 0, count: classes)
        let found = Array(fixture.logits[range]).withUnsafeBufferPointer { logits in
          gradient.withUnsafeMutableBufferPointer { loss.loss(logits, target, gradient: $0) }
        }
        expectClose([found], [Float(expected.losses[clip])], "\(expected)")
        expectClose(gradient, expected.gradient[range].map(Float.init), "\(expected)")
      }
    }
    // The mean of weighted losses is divided by the sum of the clips' weights.
    let loss = ClassLoss(smoothing: 0.1, weights: fixture.weights)
    let expected = try #require(fixture.cases.first { !$0.mixed && $0.smoothing > 0 && $0.weighted })
    let weight = fixture.labels.reduce(0.0) { $0 + loss.weight(of: ClassTarget($1)) }
    #expect(abs(expected.losses.reduce(0, +) / weight - fixture.weightedMean) < 1e-6)
  }

  @Test("the binary loss and its gradient are PyTorch's, of clips with several classes and with none")
  func binaryLosses() throws {
    let fixture = try OptimisationFixture.read().binary
    let classes = 5
    for expected in fixture.cases {
      let loss = ClassLoss(.binary, smoothing: expected.smoothing, weights: expected.weighted ? fixture.weights : [])
      for (clip, labels) in fixture.labels.enumerated() {
        let range = clip * classes..<(clip + 1) * classes
        let target = ClassTarget(labels)
        var gradient = [Float](repeating: 0, count: classes)
        let found = Array(fixture.logits[range]).withUnsafeBufferPointer { logits in
          gradient.withUnsafeMutableBufferPointer { loss.loss(logits, target, gradient: $0) }
        }
        expectClose([found], [Float(expected.losses[clip])], "\(expected)")
        expectClose(gradient, expected.gradient[range].map(Float.init), "\(expected)")
        #expect(loss.weight(of: target) == 1)
      }
    }
  }

  @Test("balanced weights are the mean count by the class's own")
  func balanced() throws {
    var recipe = LossRecipe()
    recipe.classWeights = .balanced
    #expect(try ClassLoss(recipe, counts: [4, 0, 1, 1]).weights == [0.5, 0, 2, 2])
    #expect(throws: BLVNetError.self) { try ClassLoss(recipe) }
  }

  @Test("a step with class weights is divided by the sum of the clips' weights")
  func weighted() throws {
    // All clips weigh 3: the step is that of clips that weigh nothing in particular, as 3 / 3 is 1.
    let (plain, weighted) = try (training { _ in }, training(weights: .list([3, 3, 3])) { _ in })
    for training in [plain, weighted] { training.state.initialise() }
    _ = try plain.train(steps: 1)
    _ = try weighted.train(steps: 1)
    let (a, b) = (plain.state.parameters.array, weighted.state.parameters.array)
    expectClose(a, b, within: 1e-4)
  }

  // MARK: Freezing

  @Test("what is frozen stays as it is; the rest gets the gradients of a network with nothing frozen")
  func frozen() throws {
    let norm = "stem_norm"
    for patterns in [["stem.weight"], ["stem.*"], ["\(norm).*"], ["top.*"], ["stem*"], ["*", "!top.*"], ["*.bias"]] {
      let training = try training {
        $0.freeze = NamePatterns(patterns)
      } _: {
        $0.kind = .sgd
      }
      training.state.initialise()
      let before = training.state.parameters.array
      let statistics = training.state.statistics.array
      _ = try training.train(steps: 2)
      let (after, layout) = (training.state.parameters.array, training.network.layout)
      for tensor in layout.parameters {
        let isFrozen = NamePatterns(patterns).contains(tensor.name)
        #expect(tensor.isFrozen == isFrozen)
        #expect((Array(before[tensor.range]) == Array(after[tensor.range])) == isFrozen, "\(patterns) \(tensor.name)")
      }
      let normIsFrozen = patterns == ["\(norm).*"] || patterns.contains("stem*") || patterns.contains("!top.*")
      #expect((training.state.statistics.array == statistics) == normIsFrozen)
      #expect(layout.gradientCount == layout.parameters.reduce(0) { $0 + ($1.isFrozen ? 0 : $1.count) })
    }
    // The whole stem is one layer in its form for evaluation, and below everything that is trained.
    let stem = try toyNetwork { $0.freeze = NamePatterns(["stem*"]) }
    #expect(stem.structure.trainingLayers.map(\.name) == ["stem", "pool"])
    #expect(MemoryPlan(training: stem.structure).runsBackward == [false, false])
    let whole = try toyNetwork()
    #expect(MemoryPlan(training: stem.structure).count < MemoryPlan(training: whole.structure).count)
  }

  @Test("a pattern that matches nothing, or everything, is refused by name")
  func freezingNothing() {
    let nothing = #expect(throws: BLVNetError.self) { try toyNetwork { $0.freeze = NamePatterns(["steam.*"]) } }
    let near = "'stem.weight', 'stem_norm.bias', 'stem_norm.weight'"
    #expect(nothing?.description == "freeze: 'steam.*' matches no tensor; near are \(near)")
    let all = #expect(throws: BLVNetError.self) { try toyNetwork { $0.freeze = NamePatterns(["*"]) } }
    #expect(all?.description.contains("nothing would be trained") == true)
  }

  @Test("all patterns of a recipe that match no tensor are found before anything starts, whatever the network")
  func patterns() {
    for architecture in ModelRecipe.Architecture.allCases {
      var recipe = Recipe()
      recipe.model.architecture = architecture
      #expect(patternMistakes(recipe) == [])
      recipe.model.freeze = NamePatterns(["*.layer1.*", "layer9.*", "!neck*", "*"])
      recipe.optimizer.groups = .init([.init(pattern: NamePattern("*fc.weight")), .init(pattern: NamePattern("tail"))])
      let found = patternMistakes(recipe)
      #expect(found.count == 2 && found[0].contains("'layer9.*' matches no tensor; near are "), "\(found)")
      #expect(found[0].contains("; freeze: 'neck*' matches") && found[1].hasPrefix("optimizer.groups: 'tail' matches"))
      // Which tensors an impossible model would have is not known.
      recipe.model.groups = 0
      #expect(patternMistakes(recipe) == [])
    }
  }
}
