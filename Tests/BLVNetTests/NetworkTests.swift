// The network as a whole: its size, its first values, and that a lane is a pure function.
import Foundation
import Recipes
import Shared
import Testing

@testable import BLVNet

@Suite struct NetworkTests {
  private static func small(_ change: (inout ModelRecipe) -> Void = { _ in }) -> ModelRecipe {
    var recipe = ModelRecipe()
    (recipe.width, recipe.groups, recipe.inputSize, recipe.classes) = (4, 4, 33, 7)
    change(&recipe)
    return recipe
  }

  private func random(_ network: Network, clips: Int) -> (FloatStorage, FloatStorage, [Int]) {
    let parameters = network.initialParameters(seed: 5)
    let noise = randomNumbers(parameters.count, seed: 6)
    // Every bn3.weight is zero at first; nothing would reach the layers behind it.
    for i in 0..<parameters.count { parameters[i] += 0.1 * noise[i] }
    return (
      parameters, randomNumbers(clips * network.inputCount, seed: 7), (0..<clips).map { $0 % network.recipe.classes }
    )
  }

  @Test("parameters and multiply-adds are the published ones")
  func published() throws {
    var recipe = ModelRecipe()
    let fifty = Profile(try Network(recipe, engine: .openblas))
    #expect(abs(Double(fifty.parameters) - 25.48e6) < 0.01e6, "\(fifty.parameters)")
    #expect(abs(Double(fifty.multiplyAdds) - 23.86e9) < 0.01e9, "\(fifty.multiplyAdds)")
    (recipe.depth, recipe.groups) = (101, 64)
    let network = try Network(recipe, engine: .openblas)
    let hundred = Profile(network)
    #expect(abs(Double(hundred.parameters) - 40e6) < 1e6, "\(hundred.parameters)")  // published as "about 40 M"
    #expect(abs(Double(hundred.multiplyAdds) - 128.6e9) < 0.1e9, "\(hundred.multiplyAdds)")
    #expect(hundred.parameters == network.layout.parameterCount)
    #expect(hundred.trainingBytes < 2 * hundred.activationBytes && hundred.evaluationBytes < hundred.trainingBytes / 4)
  }

  @Test("without temporal modules the names are the same but for theirs")
  func relative() throws {
    let full = try Network(Self.small(), engine: .openblas).layout
    let plain = try Network(Self.small { $0.architecture = .blvnet }, engine: .openblas).layout
    #expect(plain.parameters.map(\.name) == full.parameters.map(\.name).filter { !$0.contains("tam.") })
    #expect(plain.statistics == full.statistics)
  }

  @Test(
    "logits and loss of whole networks are the naive reference's",
    arguments: ModelRecipe.Architecture.allCases, [50, 152])
  func whole(_ architecture: ModelRecipe.Architecture, _ depth: Int) throws {
    let network = try Network(
      Self.small {
        ($0.architecture, $0.depth, $0.dropout, $0.groups) = (architecture, depth, 0, 2)
      }, engine: .openblas)
    let (parameters, input, labels) = random(network, clips: 2)
    let result = try trainOnce(network, parameters, input, labels).result
    let naive = NaiveNetwork(structure: network.structure, input: input.array.map(Double.init), labels: labels)
    let logits = naive.logits(parameters.array.map(Double.init)).flatMap { $0.map(Float.init) }
    var deviation = Deviation()
    deviation.compare("logits", result.logits, logits)
    #expect(deviation.worst < 1e-4)
  }

  @Test(
    "two runs, two threads at once, and a lane with room for more give the same bytes",
    arguments: ModelRecipe.Architecture.allCases)
  func determinism(_ architecture: ModelRecipe.Architecture) async throws {
    let network = try Network(Self.small { $0.architecture = architecture }, engine: .openblas)
    let (parameters, input, labels) = random(network, clips: 3)
    @Sendable func run(_ maximumClips: Int) throws -> [[UInt32]] {
      let (gradients, result) = try trainOnce(network, parameters, input, labels, maximumClips: maximumClips)
      return [gradients, result.logits, result.losses, result.batchStatistics.array].map { $0.map(\.bitPattern) }
    }
    let once = try run(3)
    #expect(!once[0].contains { Float(bitPattern: $0).isNaN })
    #expect(try run(3) == once)
    #expect(try run(5) == once)
    final class Results: @unchecked Sendable { var values = [[[UInt32]]?](repeating: nil, count: 2) }
    let results = Results()
    let lock = NSLock()
    DispatchQueue.concurrentPerform(iterations: 2) { i in
      let value = try? run(3)
      lock.withLock { results.values[i] = value }
    }
    #expect(results.values[0] == once && results.values[1] == once)
  }

  @Test(
    "threads that share a lane give the bytes of one alone, in training and evaluation",
    arguments: ["onednn", "openblas", "bf16", "emulated"], ModelRecipe.Architecture.allCases)
  func sharedLane(_ engine: String, _ architecture: ModelRecipe.Architecture) throws {
    guard engine != "bf16" || BFloat16Engine.isSupported else { return }
    let engines: [String: any ConvolutionEngine] = [
      "onednn": OneDNNEngine(), "openblas": OpenBLASEngine(), "emulated": EmulatedBFloat16Engine(OneDNNEngine()),
    ]
    let recipe = Self.small { ($0.architecture, $0.width, $0.groups, $0.inputSize) = (architecture, 16, 8, 97) }
    let network = try Network(recipe, engine: engines[engine] ?? BFloat16Engine())
    // Images that threads do not share evenly.
    let (parameters, input, labels) = random(network, clips: 3)
    func run(_ clips: Int, _ threads: Int) throws -> [[UInt32]] {
      let (gradients, result) = try trainOnce(
        network, parameters, input, Array(labels[..<clips]), maximumClips: 3, threads: threads)
      let lane = Lane(network, maximumClips: 3, training: false, threads: threads)
      let logits = lane.evaluate(
        parameters: parameters, statistics: network.initialStatistics(), input: input, clips: clips)
      return [gradients, result.logits, result.losses, result.batchStatistics.array, logits].map {
        $0.map(\.bitPattern)
      }
    }
    for clips in [1, 3] {
      let alone = try run(clips, 1)
      #expect(alone.allSatisfy { $0.allSatisfy { Float(bitPattern: $0).isFinite } })
      for threads in [2, 3, 7] { #expect(try run(clips, threads) == alone, "\(clips) clips, \(threads) threads") }
    }
  }

  @Test("a lane can be used again for fewer clips, and after evaluating")
  func reuse() throws {
    let network = try Network(Self.small(), engine: .openblas)
    let (parameters, input, labels) = random(network, clips: 3)
    let statistics = network.initialStatistics()
    let key = DropoutKey(seed: 1, step: 2, lane: 3)
    let lane = Lane(network, maximumClips: 3)
    func logits(_ lane: Lane, _ count: Int) throws -> [Float] {
      try lane.train(parameters: parameters, input: input, labels: Array(labels[..<count]), dropout: key) { _, _ in }
        .logits
    }
    let three = try logits(lane, 3)
    let evaluated = lane.evaluate(parameters: parameters, statistics: statistics, input: input, clips: 2)
    #expect(try logits(lane, 1) == logits(Lane(network, maximumClips: 1), 1))
    #expect(try logits(lane, 3) == three)
    let other = Lane(network, maximumClips: 4, training: false)
    #expect(other.evaluate(parameters: parameters, statistics: statistics, input: input, clips: 2) == evaluated)
    #expect(other.memoryBytes < lane.memoryBytes)
  }

  @Test(
    "an evaluation gives the same bytes in lanes that train, in those that do not, and in larger ones",
    arguments: TestedEngine.allCases, ModelRecipe.Architecture.allCases)
  func evaluation(_ tested: TestedEngine, _ architecture: ModelRecipe.Architecture) throws {
    let recipe = Self.small { ($0.architecture, $0.width, $0.inputSize) = (architecture, 16, 49) }
    let network = try Network(recipe, engine: tested.make())
    let (parameters, input, _) = random(network, clips: 3)
    let statistics = network.initialStatistics()
    let noise = randomNumbers(statistics.count, seed: 8)
    for i in 0..<statistics.count { statistics[i] += 0.3 * abs(noise[i]) }
    func logits(_ lane: Lane) -> [UInt32] {
      lane.evaluate(parameters: parameters, statistics: statistics, input: input, clips: 3).map(\.bitPattern)
    }
    let three = logits(Lane(network, maximumClips: 3, training: false))
    #expect(three.allSatisfy { Float(bitPattern: $0).isFinite } && Set(three).count > network.recipe.classes)
    for training in [false, true] {
      let lane = Lane(network, maximumClips: 4, training: training)
      for _ in 0..<2 { #expect(logits(lane) == three) }
    }
  }

  @Test("what the sink throws comes out of the step")
  func sink() throws {
    struct Stop: Error {}
    let network = try Network(Self.small(), engine: .openblas)
    let (parameters, input, labels) = random(network, clips: 1)
    #expect(throws: Stop.self) {
      _ = try Lane(network, maximumClips: 1).train(
        parameters: parameters, input: input, labels: labels, dropout: DropoutKey(seed: 0, step: 0, lane: 0)
      ) { _, _ in throw Stop() }
    }
  }

  @Test("top-5 counts labels within the five largest logits, ties going to the lower class")
  func topFive() throws {
    // A classifier of zeros leaves its bias as the logits.
    let network = try Network(Self.small(), engine: .openblas)
    let parameters = network.initialParameters(seed: 1)
    let layout = network.layout.parameters
    let weight = try #require(layout.first { $0.name == "new_fc.weight" })
    let bias = try #require(layout.first { $0.name == "new_fc.bias" })
    for i in weight.offset..<weight.offset + weight.count { parameters[i] = 0 }
    for (i, value) in [Float(1), 3, 3, 0, 2, 1, 1].enumerated() { parameters[bias.offset + i] = value }
    let input = randomNumbers(network.inputCount, seed: 2)
    let lane = Lane(network, maximumClips: 1)
    let places = try (0..<7).map { label in
      let result = try lane.train(
        parameters: parameters, input: input, labels: [label], dropout: DropoutKey(seed: 0, step: 0, lane: 0)
      ) { _, _ in }
      return [result.top1, result.top5]
    }
    #expect(places == [[0, 1], [1, 1], [0, 1], [0, 0], [0, 1], [0, 1], [0, 0]])
  }

  @Test("initial values have the published deviations, and depend on seed and tensor alone")
  func initialValues() throws {
    let network = try Network(Self.small { $0.width = 16 }, engine: .openblas)
    let values = network.initialParameters(seed: 1)
    #expect(values.array == network.initialParameters(seed: 1).array)
    #expect(values.array != network.initialParameters(seed: 2).array)
    for tensor in network.layout.parameters {
      let numbers = values.array(tensor.range).map(Double.init)
      if tensor.shape.count == 1 {
        let one = tensor.name.hasSuffix(".weight") && !tensor.name.hasSuffix("bn3.weight")
        #expect(numbers.allSatisfy { $0 == (one ? 1 : 0) }, "\(tensor.name)")
        continue
      }
      guard numbers.count >= 1000 else { continue }
      let mean = numbers.reduce(0, +) / Double(numbers.count)
      let deviation = (numbers.reduce(0) { $0 + $1 * $1 } / Double(numbers.count)).squareRoot()
      let expected =
        tensor.name == "new_fc.weight"
        ? 0.001 : (2 / Double(tensor.shape[0] * tensor.shape[2] * tensor.shape[3])).squareRoot()
      #expect(abs(deviation / expected - 1) < 4 / Double(numbers.count).squareRoot(), "\(tensor.name)")
      #expect(abs(mean) < 5 * expected / Double(numbers.count).squareRoot(), "\(tensor.name)")
    }
    let statistics = network.initialStatistics()
    for tensor in network.layout.statistics {
      #expect(statistics[tensor.offset] == (tensor.name.hasSuffix("running_var") ? 1 : 0))
    }
  }

  @Test("an impossible model is refused by the name of its key")
  func refusals() throws {
    let cases: [(String, (inout ModelRecipe) -> Void)] = [
      ("depth", { $0.depth = 34 }), ("groups", { $0.groups = 7 }), ("groups", { $0.groups = 0 }),
      ("input_size", { $0.inputSize = 8 }), ("alpha", { $0.alpha = 0 }), ("beta", { $0.beta = 0 }),
      ("width", { $0.width = 9 }), ("width", { $0.width = 0 }), ("blending_frames", { $0.blendingFrames = 0 }),
      ("dropout", { $0.dropout = 1 }), ("classes", { $0.classes = 0 }),
    ]
    for (key, change) in cases {
      let error = #expect(throws: BLVNetError.self) { try Network(Self.small(change), engine: .openblas) }
      #expect(error?.status == .badConfiguration)
      #expect(error?.description.contains("model.\(key) ") == true)
    }
  }
}
