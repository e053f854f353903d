// Each layer at odd sizes, inside the smallest network that holds it: results against the naive reference, gradients
// against finite differences of it in double precision.
import Recipes
import Shared
import Testing

@testable import BLVNet

/// A small network around a layer: an input of 4 frames (7 high, 5 wide), and a first convolution whose weights'
/// gradient shows the layer's data gradient.
struct LayerCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let build: @Sendable (inout StructureBuilder, Int) -> Int

  static let all: [LayerCase] = [
    LayerCase(testDescription: "convolution 3x3") { b, x in b.convolution("c", x, 3, kernel: 3) },
    LayerCase(testDescription: "convolution 3x3, stride 2") { b, x in b.convolution("c", x, 3, kernel: 3, stride: 2) },
    LayerCase(testDescription: "convolution 7x7, stride 2") { b, x in b.convolution("c", x, 2, kernel: 7, stride: 2) },
    LayerCase(testDescription: "convolution 1x1") { b, x in b.convolution("c", x, 7) },
    LayerCase(testDescription: "average pool") { b, x in b.averagePool("p", x) },
    LayerCase(testDescription: "batch norm") { b, x in
      // Its mean over space is its bias, whatever comes in: a further convolution lets the gradient through.
      let y = b.norm("n", x, relu: false)
      return b.convolution("after", y, 3, kernel: 3)
    },
    LayerCase(testDescription: "batch norm, ReLU") { b, x in b.norm("n", x, relu: true) },
    LayerCase(testDescription: "batch norm, ReLU, residual") { b, x in
      b.norm("n", b.convolution("c", x, 5), relu: true, residual: x)
    },
    LayerCase(testDescription: "batch norm, residual read twice") { b, x in
      let y = b.norm("n", b.convolution("c", x, 5), relu: true, residual: x)
      return b.norm("m", b.convolution("d", y, 5), relu: false, residual: x)
    },
    LayerCase(testDescription: "batch norm, enlarged residual") { b, x in
      b.norm("n", b.convolution("c", x, 5), relu: true, residual: b.averagePool("p", x))
    },
    LayerCase(testDescription: "temporal module") { b, x in
      b.temporal("t", x, frames: 4, taps: taps(3), split: false).big
    },
    LayerCase(testDescription: "temporal module, one tap") { b, x in
      b.temporal("t", x, frames: 4, taps: taps(1), split: false).big
    },
    LayerCase(testDescription: "temporal module, four taps") { b, x in
      b.temporal("t", x, frames: 4, taps: taps(4), split: false).big
    },
    LayerCase(testDescription: "temporal module, parted") { b, x in
      let (big, little) = b.temporal("t", x, frames: 4, taps: taps(5), split: true)
      return b.norm("n", b.convolution("c", big, 5), relu: false, residual: little)
    },
    LayerCase(testDescription: "temporal modules over pairs, parted") { b, x in
      let (big, little) = b.temporal("t", x, frames: 4, taps: taps(3), split: true)
      let sum = b.norm("n", b.convolution("c", big, 5), relu: true, residual: little)
      let (after, even) = b.temporal("u", sum, frames: 4, taps: taps(3), split: true)
      return b.norm("m", b.convolution("d", after, 5), relu: false, residual: even)
    },
    LayerCase(testDescription: "temporal shift") { b, x in
      b.convolution("c", b.shift("s", x, frames: 4, parts: 4, split: false).big, 3)
    },
    LayerCase(testDescription: "temporal shift, residual past it") { b, x in
      let shifted = b.shift("s", x, frames: 4, parts: 2, split: false).big
      return b.norm("n", b.convolution("c", shifted, 5), relu: true, residual: x)
    },
    LayerCase(testDescription: "temporal shifts over pairs, parted") { b, x in
      let (big, little) = b.shift("s", x, frames: 4, parts: 3, split: true)
      let sum = b.norm("n", b.convolution("c", big, 5), relu: true, residual: little)
      let (after, even) = b.shift("t", sum, frames: 4, parts: 3, split: true)
      return b.norm("m", b.convolution("d", after, 5), relu: false, residual: even)
    },
    LayerCase(testDescription: "max pool") { b, x in b.maxPool("p", x) },
    LayerCase(testDescription: "max pool, source read twice") { b, x in
      b.norm("n", b.convolution("c", x, 5), relu: true, residual: b.maxPool("p", x))
    },
    LayerCase(testDescription: "temporal maximum") { b, x in b.temporalPool("p", x, .max) },
    LayerCase(testDescription: "temporal mean") { b, x in
      b.convolution("c", b.temporalPool("p", x, .avg), 3, kernel: 3)
    },
    LayerCase(testDescription: "temporal pools in a row, read twice") { b, x in
      let y = b.temporalPool("p", x, .max)
      let z = b.norm("n", b.convolution("c", y, 5), relu: true, residual: y)
      let pooled = b.temporalPool("q", z, .avg)
      return b.norm("m", b.convolution("d", pooled, 5), relu: false, residual: pooled)
    },
    LayerCase(testDescription: "convolution 1x1 of every second pixel") { b, x in
      b.stridedPointwise("c", x, 3, stride: 2)
    },
    LayerCase(testDescription: "convolution 1x1 of every second pixel and frame, source read twice") { b, x in
      let y = b.temporalConvolution("c", x, 4, kernel: 3, stride: 2, timeStride: 2)
      return b.norm("n", y, relu: true, residual: b.stridedPointwise("d", x, 4, stride: 2, timeStride: 2))
    },
    LayerCase(testDescription: "convolution 3x3x3") { b, x in b.temporalConvolution("c", x, 3, kernel: 3) },
    LayerCase(testDescription: "convolution 3x3x3, residual past it") { b, x in
      b.norm("n", b.temporalConvolution("c", x, 5, kernel: 3), relu: true, residual: x)
    },
    LayerCase(testDescription: "convolution 3x7x7, stride 2") { b, x in
      b.temporalConvolution("c", x, 2, kernel: 7, stride: 2)
    },
    LayerCase(testDescription: "parted frames") { b, x in
      let (big, little) = b.split("s", x)
      return b.norm("n", b.convolution("c", big, 5), relu: false, residual: little)
    },
  ]

  private static func taps(_ count: Int) -> [String] { (0..<count).map { "tap\($0)" } }

  func network(freezing patterns: [String] = []) -> Network {
    var recipe = ModelRecipe()
    recipe.groups = 4
    recipe.freeze = NamePatterns(patterns)
    let structure = Structure(freezing: Freezing(recipe)) { builder in
      let input = builder.value(frames: 4, height: 7, width: 5, channels: 3)
      let x = builder.convolution("first", input, 5)
      let features = build(&builder, x)
      builder.classifier("fc", features, classes: 3, dropout: 0, deviation: 0.001)
    }
    return Network(recipe, structure, engine: OpenBLASEngine())
  }
}

func randomNumbers(_ count: Int, seed: UInt64) -> FloatStorage {
  var random = Philox(seed: seed, .selfTest)
  return FloatStorage((0..<count).map { _ in Float(2 * random.unit() - 1) })
}

/// The gradients of one training pass, in the order of the layout, NaN where nothing is trained; and its result.
func trainOnce(
  _ network: Network, _ parameters: FloatStorage, _ input: FloatStorage, _ labels: [Int],
  statistics: FloatStorage? = nil, maximumClips: Int? = nil, threads: Int = 1,
  dropout: DropoutKey = DropoutKey(seed: 0, step: 0, lane: 0)
) throws -> (gradients: [Float], result: LaneResult) {
  let lane = Lane(network, maximumClips: maximumClips ?? labels.count, threads: threads)
  var gradients = [Float](repeating: .nan, count: network.layout.parameterCount)
  let result = try lane.train(
    parameters: parameters, statistics: statistics, input: input, targets: labels.map { ClassTarget($0) },
    dropout: dropout
  ) { tensor, values in
    let spec = network.layout.parameters[tensor]
    precondition(values.count == spec.count)
    for (i, value) in values.enumerated() { gradients[spec.offset + i] = value }
  }
  return (gradients, result)
}

@Suite struct LayerTests {
  /// One for each case, in turn: every part of a network is frozen in some case, and trained in another.
  private static let frozenPatterns = LayerCase.all.indices.map {
    [["n.*", "m.*", "c.*"], ["first.*", "n.*"], ["first.*", "c.*", "n.*", "t.*"]][$0 % 3]
  }

  @Test("results are the naive reference's, gradients the finite differences of its loss", arguments: LayerCase.all)
  func layer(_ layerCase: LayerCase) throws { try check(layerCase.network()) }

  @Test(
    "with something frozen, the rest has the gradients of a network with constant statistics in frozen norms",
    arguments: zip(LayerCase.all, frozenPatterns))
  func frozen(_ layerCase: LayerCase, _ patterns: [String]) throws {
    try check(layerCase.network(freezing: patterns))
  }

  private func check(_ network: Network) throws {
    let labels = [2, 0, 1]
    let parameters = randomNumbers(network.layout.parameterCount, seed: 3)
    let input = randomNumbers(labels.count * network.inputCount, seed: 4)
    let statistics = FloatStorage(
      network.layout.statistics.flatMap { tensor in
        (0..<tensor.count).map { Float($0 + 1) * (tensor.name.hasSuffix("mean") ? 0.125 : 0.25) }
      })
    let (gradients, result) = try trainOnce(network, parameters, input, labels, statistics: statistics)

    let naive = NaiveNetwork(
      structure: network.structure, statistics: statistics.array.map(Double.init), input: input.array.map(Double.init),
      labels: labels)
    var point = parameters.array.map(Double.init)
    let logits = naive.logits(point).flatMap { $0.map(Float.init) }
    var deviation = Deviation()
    deviation.compare("logits", result.logits, logits)
    #expect(deviation.worst < 1e-5)
    #expect(abs(result.losses.reduce(0) { $0 + Double($1) } - naive.loss(point)) < 1e-5)

    let step = 1e-5
    for tensor in network.layout.parameters {
      let range = tensor.range
      let differences = range.map { i in
        let middle = point[i]
        point[i] = middle + step
        let above = naive.loss(point)
        point[i] = middle - step
        let below = naive.loss(point)
        point[i] = middle
        return Float((above - below) / (2 * step))
      }
      let actual = Array(gradients[range])
      guard !tensor.isFrozen else {
        #expect(actual.allSatisfy { $0.isNaN }, "\(tensor.name) is frozen")
        continue
      }
      // Where the true gradient is zero (a bias ahead of a batch norm), only rounding is left on both sides.
      for (a, b) in zip(actual, differences) {
        let scale = max(differences.reduce(0) { max($0, abs($1)) }, 1e-2)
        #expect(abs(a - b) <= 2e-4 * scale, "\(tensor.name): \(a), finite difference \(b)")
      }
    }
  }

  @Test("dropout zeroes the share it should, keeps the mean, and its gradient is the loss's derivative")
  func dropout() throws {
    var recipe = ModelRecipe()
    recipe.groups = 4
    let structure = Structure { builder in
      let input = builder.value(frames: 4, height: 3, width: 3, channels: 3)
      let features = builder.convolution("first", input, 5)
      builder.classifier("fc", features, classes: 3, dropout: 0.4, deviation: 0.001)
    }
    let network = Network(recipe, structure, engine: OpenBLASEngine())
    let parameters = randomNumbers(network.layout.parameterCount, seed: 5)
    let input = randomNumbers(network.inputCount, seed: 6)
    func run(_ step: UInt64) throws -> (gradients: [Float], result: LaneResult) {
      try trainOnce(network, parameters, input, [1], dropout: DropoutKey(seed: 7, step: step, lane: 1))
    }
    #expect(try run(1).result.logits == run(1).result.logits)
    #expect(try run(1).result.logits != run(2).result.logits)

    var mean = [Float](repeating: 0, count: 3)
    for step in 0..<4000 {
      for (c, logit) in try run(UInt64(step)).result.logits.enumerated() { mean[c] += logit / 4000 }
    }
    let expected = Lane(network, maximumClips: 1, training: false).evaluate(
      parameters: parameters, statistics: FloatStorage(count: 0), input: input, clips: 1)
    for (a, b) in zip(mean, expected) { #expect(abs(a - b) < 0.02) }

    let gradients = try run(1).gradients
    for i in 0..<network.layout.parameterCount {
      let middle = parameters[i]
      parameters[i] = middle + 0x1p-7
      let above = try run(1).result.losses[0]
      parameters[i] = middle - 0x1p-7
      let below = try run(1).result.losses[0]
      parameters[i] = middle
      #expect(abs((above - below) * 64 - gradients[i]) < 1e-3)
    }
  }
}
