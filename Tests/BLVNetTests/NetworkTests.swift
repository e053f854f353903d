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

  /// Counted from the reference classes at 224 x 224 with 400 classes, for 8 frames (bLVNet: 8x2).
  static let published:
    [(architecture: ModelRecipe.Architecture, depth: Int, strided: Bool, parameters: Int, adds: Int)] =
      [
        (.tsn, 50, false, 24_327_632, 32_697_090_048), (.tsm, 50, false, 24_327_632, 32_697_090_048),
        (.tsn, 50, true, 24_327_632, 14_135_984_128), (.tsm, 50, true, 24_327_632, 14_135_984_128),
        (.tam, 50, false, 24_366_992, 32_831_963_136), (.tam, 50, true, 24_366_992, 14_213_054_464),
        (.i3d, 50, false, 46_980_944, 64_180_322_304), (.i3d, 50, true, 46_980_944, 29_460_135_936),
        (.tsn, 101, false, 43_319_760, 62_394_859_520), (.tsm, 101, false, 43_319_760, 62_394_859_520),
        (.tam, 101, false, 43_411_344, 62_611_619_840), (.i3d, 101, false, 86_027_088, 125_322_788_864),
        (.blvnet, 50, false, 25_465_168, 23_776_198_656), (.blvnetTSM, 50, false, 25_465_168, 23_776_198_656),
        (.blvnetTAM, 50, false, 25_483_216, 23_848_452_096), (.blvnet, 101, false, 40_622_160, 32_074_104_832),
        (.blvnetTSM, 101, false, 40_622_160, 32_074_104_832), (.blvnetTAM, 101, false, 40_640_208, 32_146_358_272),
      ]

  @Test("parameters and multiply-adds of all networks are those counted from the reference implementations, exactly")
  func counted() throws {
    for row in Self.published {
      let isBigLittle = [.blvnet, .blvnetTSM, .blvnetTAM].contains(row.architecture)
      for multiple in [1, 2, 4] {
        var recipe = ModelRecipe()
        (recipe.architecture, recipe.depth, recipe.temporalStride) = (row.architecture, row.depth, row.strided)
        recipe.groups = multiple * (isBigLittle ? 16 : 8)
        let profile = Profile(try Network(recipe, engine: OpenBLASEngine()))
        #expect(profile.parameters == row.parameters, "\(row)")
        #expect(profile.convolutionMultiplyAdds == multiple * row.adds, "\(row)")
      }
    }
  }

  @Test("the names of a network are those of its relatives, but for what mixes time")
  func names() throws {
    func names(_ architecture: ModelRecipe.Architecture) throws -> [String] {
      try Network(Self.small { $0.architecture = architecture }, engine: .openblas).layout.parameters.map(\.name)
    }
    #expect(try names(.blvnetTSM) == names(.blvnet))
    #expect(try names(.tsm) == names(.tsn) && names(.i3d) == names(.tsn))
    #expect(try names(.tam).filter { !$0.contains(".tam.") } == names(.tsn))
    #expect(try names(.tam).contains("layer4.2.tam.prev_se.fc1.weight"))
    let five = Self.small { ($0.architecture, $0.blendingFrames) = (.tam, 5) }
    let layout = try Network(five, engine: .openblas).layout
    #expect(
      layout.parameters.contains { $0.name == "layer1.0.tam.blending_layers.4.fc1.weight" && $0.shape == [4, 1, 1, 1] })
    let inflated = try Network(Self.small { $0.architecture = .i3d }, engine: .openblas).layout.parameters
    #expect(inflated.first { $0.name == "conv1.weight" }?.shape == [4, 3, 3, 7, 7])
    #expect(inflated.first { $0.name == "layer1.0.conv2.weight" }?.shape == [4, 4, 3, 3, 3])
    #expect(inflated.first { $0.name == "layer2.0.downsample.0.weight" }?.shape == [32, 16, 1, 1, 1])
  }

  @Test("deep ResNets shift in every second block, others in all; a block with too few channels does not")
  func shifts() throws {
    func shifts(_ depth: Int, _ width: Int) throws -> [String] {
      let recipe = Self.small { ($0.architecture, $0.depth, $0.width) = (.tsm, depth, width) }
      return try Network(recipe, engine: .openblas).structure.layers.compactMap { ($0 as? TemporalShift)?.name }
    }
    #expect(try shifts(50, 8).count == 16)
    #expect(try shifts(50, 4).count == 15)
    let deep = try shifts(101, 8)
    #expect(deep.count == 2 + 2 + 12 + 2 && deep.contains("layer3.22.shift") && !deep.contains("layer3.21.shift"))
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
        $0.shiftDiv = [.tsm, .blvnetTSM].contains(architecture) ? 3 : 8
      }, engine: .openblas)
    let (parameters, input, labels) = random(network, clips: 2)
    let result = try trainOnce(network, parameters, input, labels).result
    let naive = NaiveNetwork(structure: network.structure, input: input.array.map(Double.init), labels: labels)
    let logits = naive.logits(parameters.array.map(Double.init)).flatMap { $0.map(Float.init) }
    var deviation = Deviation()
    deviation.compare("logits", result.logits, logits)
    // A batch norm over 16 values at a time, 150 layers deep, amplifies rounding.
    #expect(deviation.worst < (depth == 152 ? 1e-3 : 1e-4))
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
    let recipe = Self.small {
      ($0.architecture, $0.width) = (architecture, 16)
      // A ResNet has larger images inside.
      let isBigLittle = [.blvnet, .blvnetTSM, .blvnetTAM].contains(architecture)
      ($0.groups, $0.inputSize) = isBigLittle ? (8, 97) : (8, 57)
      $0.temporalStride = [.tam, .i3d].contains(architecture)
    }
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
      for threads in [2, 3] { #expect(try run(clips, threads) == alone, "\(clips) clips, \(threads) threads") }
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

  @Test(
    "a lane whose batch norms see groups of clips has the gradients of a lane for each group, and their mean statistics",
    arguments: [[], ["*.conv1.weight", "*.bn1.*", "*.layer1.*", "*_*0.*"], ["*.bn2.*"]])
  func groups(_ frozen: [String]) throws {
    let recipe = Self.small { ($0.freeze, $0.dropout) = (NamePatterns(frozen), 0) }
    let network = try Network(recipe, engine: .openblas)
    let (parameters, input, labels) = random(network, clips: 5)
    let statistics = network.initialStatistics()
    for i in 0..<statistics.count { statistics[i] += 0.25 }
    func train(_ lane: Lane, _ clips: Range<Int>) throws -> (gradients: [Double], LaneResult) {
      var gradients = [Double](repeating: 0, count: network.layout.parameterCount)
      let part = FloatStorage(
        input.array(clips.lowerBound * network.inputCount..<clips.upperBound * network.inputCount))
      let result = try lane.train(
        parameters: parameters, statistics: statistics, input: part, targets: labels[clips].map { ClassTarget($0) },
        dropout: DropoutKey(seed: 1, step: 0, lane: 0)
      ) { tensor, values in
        let first = network.layout.parameters[tensor].offset
        for (i, value) in values.enumerated() { gradients[first + i] = Double(value) }
      }
      return (gradients, result)
    }
    let single = Lane(network, maximumClips: 3)
    let (grouped, result) = try train(Lane(network, sizes: [5], groupClips: 3, sharing: single), 0..<5)
    // Five clips in groups of at most three: two and three.
    let parts = try [0..<2, 2..<5].map { try train(single, $0) }
    let sums = zip(parts[0].gradients, parts[1].gradients).map(+)
    let size = sums.map(abs).max() ?? 0
    for (a, b) in zip(grouped, sums) { #expect(abs(a - b) <= 1e-4 * size) }
    for (a, b) in zip(result.logits, parts.flatMap { $0.1.logits }) { #expect(abs(a - b) <= 1e-4 * max(1, abs(b))) }
    for tensor in network.layout.statistics {
      for i in tensor.range {
        let mean = (2 * Double(parts[0].1.batchStatistics[i]) + 3 * Double(parts[1].1.batchStatistics[i])) / 5
        #expect(abs(Double(result.batchStatistics[i]) - mean) <= 1e-6 * max(1, abs(mean)))
      }
    }
  }

  @Test("lanes of several shapes in one memory give the bytes of lanes in their own", arguments: TestedEngine.allCases)
  func sharedMemory(_ tested: TestedEngine) throws {
    let engine = tested.make()
    let shapes = [(4, 33, 2), (8, 32, 1), (2, 24, 7)]
    let networks = try shapes.map { frames, size, _ in
      try Network(Self.small { ($0.groups, $0.inputSize) = (frames, size) }, engine: engine)
    }
    func bytes(_ lane: Lane, clips: Int) throws -> [UInt32] {
      let (parameters, input, labels) = random(lane.network, clips: clips)
      var found: [UInt32] = []
      let result = try lane.train(
        parameters: parameters, input: input, labels: labels, dropout: DropoutKey(seed: 1, step: 2, lane: 3)
      ) { found += $1.map(\.bitPattern) }
      return found + (result.logits + result.batchStatistics.array).map(\.bitPattern)
    }
    let first = Lane(networks[0], maximumClips: shapes[0].2)
    let lanes =
      [first]
      + zip(networks, shapes).dropFirst().map { network, shape in
        Lane(network, sizes: [shape.2], groupClips: shape.2, sharing: first)
      }
    let alone = try zip(networks, shapes).map { try bytes(Lane($0, maximumClips: $1.2), clips: $1.2) }
    for number in [0, 1, 2, 0, 2, 1, 0] {
      #expect(try bytes(lanes[number], clips: shapes[number].2) == alone[number], "shape \(number)")
    }
    // A number of clips that was not expected.
    #expect(try bytes(lanes[2], clips: 3) == bytes(Lane(networks[2], maximumClips: 3), clips: 3))
    #expect(lanes.allSatisfy { $0.memoryBytes == first.memoryBytes })
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

  @Test(
    "initial values have the published deviations, and depend on seed and tensor alone",
    arguments: ModelRecipe.Architecture.allCases)
  func initialValues(_ architecture: ModelRecipe.Architecture) throws {
    let network = try Network(Self.small { ($0.architecture, $0.width) = (architecture, 16) }, engine: .openblas)
    let values = network.initialParameters(seed: 1)
    #expect(values.array == network.initialParameters(seed: 1).array)
    #expect(values.array != network.initialParameters(seed: 2).array)
    let isBigLittle = [.blvnet, .blvnetTSM, .blvnetTAM].contains(architecture)
    // A's linear layer: uniform in ±1/√512.
    let uniform: Float? = isBigLittle || architecture == .i3d ? nil : Float(1 / 512.0.squareRoot())
    for tensor in network.layout.parameters {
      let numbers = values.array(tensor.range).map(Double.init)
      if let uniform, tensor.name.hasPrefix("fc.") {
        let largest = numbers.reduce(0) { max($0, abs($1)) }
        #expect(largest <= Double(uniform) && largest > 0.6 * Double(uniform), "\(tensor.name)")
        let square = numbers.reduce(0) { $0 + $1 * $1 } / Double(numbers.count)
        if numbers.count > 1000 { #expect(abs(square * 3 / Double(uniform * uniform) - 1) < 0.1) }
        continue
      }
      if tensor.shape.count == 1 {
        let isZero = isBigLittle && tensor.name.hasSuffix("bn3.weight")
        let one = tensor.name.hasSuffix(".weight") && !isZero
        #expect(numbers.allSatisfy { $0 == (one ? 1 : 0) }, "\(tensor.name)")
        continue
      }
      guard numbers.count >= 1000 else { continue }
      let mean = numbers.reduce(0, +) / Double(numbers.count)
      let deviation = (numbers.reduce(0) { $0 + $1 * $1 } / Double(numbers.count)).squareRoot()
      let fanOut = Double(tensor.shape[0] * tensor.shape.dropFirst(2).reduce(1, *))
      let expected = tensor.name.hasSuffix("fc.weight") ? 0.001 : (2 / fanOut).squareRoot()
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
      ("shift_div", { ($0.architecture, $0.shiftDiv) = (.tsm, 129) }), ("shift_div", { $0.shiftDiv = 4 }),
      ("groups", { ($0.architecture, $0.temporalStride, $0.groups) = (.tam, true, 12) }),
      ("temporal_stride", { $0.temporalStride = true }),
    ]
    for (key, change) in cases {
      let error = #expect(throws: BLVNetError.self) { try Network(Self.small(change), engine: .openblas) }
      #expect(error?.status == .badConfiguration)
      #expect(error?.description.contains("model.\(key) ") == true)
    }
  }
}
