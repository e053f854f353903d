// bf16: the engines against plain loops, a step against float32's, equal bytes on threads, and who is refused. A
// processor without bf16 tests the emulated engines only.
import Dispatch
import Foundation
import Recipes
import Shared
import Synchronization
import Testing
import Training

@testable import BLVNet

/// The engines for bf16; the processor's own only where it has one.
enum TestedBFloat16Engine: CaseIterable {
  case native, emulated, reference

  static let available = allCases.filter { $0 != .native || BFloat16Engine.isSupported }

  func make() -> any ConvolutionEngine {
    switch self {
    case .native: BFloat16Engine()
    case .emulated: EmulatedBFloat16Engine(OneDNNEngine())
    case .reference: EmulatedBFloat16Engine(OpenBLASEngine())
    }
  }
}

@Suite struct BFloat16Tests {
  /// Images smaller than the window, as well: some taps meet no pixel.
  static let shapes =
    EngineTests.shapes
    + [(16, 16, 3, 1, 1, 1, 1), (16, 32, 3, 2, 1, 2, 2), (3, 16, 7, 2, 3, 3, 5), (32, 48, 3, 2, 1, 13, 27)].map {
      ConvolutionShape(
        inputChannels: $0.0, outputChannels: $0.1, kernel: $0.2, stride: $0.3, padding: $0.4, height: $0.5, width: $0.6)
    }

  @Test(
    "convolutions are those of plain loops on rounded images, and weights but for Winograd's", arguments: shapes,
    TestedBFloat16Engine.available)
  func engine(_ shape: ConvolutionShape, _ tested: TestedBFloat16Engine) {
    let engine = tested.make()
    let images = 3
    let src = BFloat16Storage(images * shape.height * shape.width * shape.inputChannels, seed: 1)
    let dDst = BFloat16Storage(images * shape.outputHeight * shape.outputWidth * shape.outputChannels, seed: 2)
    let weights = randomNumbers(shape.weightCount, seed: 3)
    // What earlier calls left there must not matter.
    let workspace = FloatStorage(repeatElement(.nan, count: engine.prepare(shape, images: images)))
    var (dst, dSrc, dWeights) = (
      [Double](repeating: 0, count: dDst.count), [Double](repeating: 0, count: src.count),
      [Double](repeating: 0, count: weights.count)
    )
    let winograd = (engine as? BFloat16Engine)?.isWinograd(shape) ?? false
    let (images32, gradients32) = (src.floats, dDst.floats)
    let multiplied = winograd ? weights.array : BFloat16Storage(weights).floats
    EngineTests.forEachProduct(shape, images) { o, i, w in
      dst[o] += Double(images32[i]) * Double(multiplied[w])
      dSrc[i] += Double(gradients32[o]) * Double(multiplied[w])
      dWeights[w] += Double(gradients32[o]) * Double(images32[i])
    }
    func expectEqual(_ what: String, _ actual: [Float], _ expected: [Double], within: Float) {
      var deviation = Deviation()
      deviation.compare(what, actual, expected.map(Float.init))
      #expect(deviation.worst < within, "\(what)")
    }
    // A rounding is off by up to 2^-8 of a value, the sums in float32 by far less.
    let once: Float = 0x1.02p-8
    let result = BFloat16Storage(dDst.count, seed: 4)
    engine.forward(
      shape, images: images, src: src.base, weights: weights.base, epilogue: nil, dst: result.base,
      workspace: workspace.base)
    expectEqual("forward", result.floats, dst, within: once)
    let dataGradient = BFloat16Storage(src.count, seed: 5)
    engine.dataGradient(
      shape, images: images, dDst: dDst.base, weights: weights.base, accumulate: false, dSrc: dataGradient.base,
      workspace: workspace.base)
    expectEqual("data gradient", dataGradient.floats, dSrc, within: once)
    // An engine may round what it adds, and adds to what was rounded before.
    engine.dataGradient(
      shape, images: images, dDst: dDst.base, weights: weights.base, accumulate: true, dSrc: dataGradient.base,
      workspace: workspace.base)
    expectEqual("data gradient, added", dataGradient.floats, dSrc.map { 2 * $0 }, within: 2 * once)
    let weightGradient = FloatStorage(repeatElement(.nan, count: weights.count))
    engine.weightGradient(
      shape, images: images, outputs: 0..<shape.outputChannels, src: src.base, dDst: dDst.base,
      dWeights: weightGradient.base, workspace: workspace.base)
    expectEqual("weight gradient", weightGradient.array, dWeights, within: 2e-5)
  }

  /// How far PyTorch's own bf16 (autocast) is from the golden step: the relative distances of an evaluation's logits
  /// and of the step's, and the cosine of all gradients as one vector (Benchmarks/peers/check_blvnet.py --bf16, PyTorch
  /// 2.15). A rounding of 2^-8 in a mean turns ReLUs on and off, so gradients of these small, deep networks turn by far
  /// more than it.
  static let peer: [String: (evaluation: Double, logits: Double, cosine: Double)] = [
    "blvnet101-w8-f4-48px-r5": (2.84e-3, 4.15e-2, 0.720), "blvnet50-w8-f4-72px-a4b2": (2.96e-3, 1.78e-2, 0.925),
    "blvnet50-w8-f8-64px-b3": (2.74e-3, 1.83e-2, 0.901), "blvnet50-w8-f8-64px-none": (5.83e-3, 1.63e-2, 0.947),
    "blvnet50-w8-f8-64px-tsm": (1.35e-2, 1.11e-2, 0.942), "tsn50-w8-f4-48px": (2.58e-3, 8.19e-3, 0.933),
    "tsm50-w8-f8-48px": (5.15e-3, 1.45e-2, 0.954), "tam50-w8-f4-48px-b3": (5.96e-3, 1.13e-2, 0.932),
    "i3d50-w4-f4-48px": (4.16e-3, 1.29e-2, 0.949),
    // Without four 3x3x3 weights of layer 3, of which PyTorch's gradients are beyond all measure.
    "i3d50-w4-f8-48px-ts": (5.64e-3, 2.59e-2, 0.914),
  ]

  @Test(
    "a golden step in bf16 is as near to float32's as PyTorch's in bf16",
    .enabled(if: !SharedFiles.goldenFolders.isEmpty, "no golden folders in TAMRING_SHARED or ../shared"),
    arguments: SharedFiles.goldenFolders, TestedBFloat16Engine.available)
  func golden(_ folder: String, _ tested: TestedBFloat16Engine) throws {
    // A folder that was not measured has the widest bounds.
    let peer =
      Self.peer[String(folder.drop { $0 != "/" }.dropFirst())] ?? (evaluation: 1.35e-2, logits: 4.15e-2, cosine: 0.72)
    let path = SharedFiles.root.appendingPathComponent(folder).path
    let (model, optimizer) = try goldenRecipe("\(path)/recipe.yaml")
    let step = try TrainingStep(
      model: model, optimizer: optimizer, engine: tested.make(), state: SafeTensors(path: "\(path)/state.safetensors"),
      batch: SafeTensors(path: "\(path)/batch.safetensors"))
    let actual = try SafeTensors(step.run(evaluating: true).bytes(), origin: "actual")
    let expected = try SafeTensors(path: "\(path)/expected.safetensors")
    func both(_ names: [String]) throws -> [(Double, Double)] {
      try names.flatMap { name in
        try zip(expected.floats(name), actual.floats(name)).map { (Double($0), Double($1)) }
      }
    }
    func distance(_ pairs: [(Double, Double)]) -> Double {
      let difference = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      return (difference / pairs.reduce(0) { $0 + $1.0 * $1.0 }).squareRoot()
    }
    let logits = try both(["logits"])
    let gradients = try both(expected.entries.keys.filter { $0.hasPrefix("grad.") })
    let product = gradients.reduce(0) { $0 + $1.0 * $1.1 }
    let norms = gradients.reduce(0) { $0 + $1.0 * $1.0 } * gradients.reduce(0) { $0 + $1.1 * $1.1 }
    let cosine = product / norms.squareRoot()
    // Half again for luck: two ways of rounding differ by a quarter.
    #expect(distance(logits) < 1.5 * peer.logits)
    #expect(1 - cosine < 1.5 * (1 - peer.cosine))
    // Nothing amplifies what the means and variances of one pass are off by, or running statistics hold still.
    let evaluation = try distance(both(["eval_logits"]))
    #expect(evaluation < max(0x1p-8, 1.5 * peer.evaluation))
    for name in expected.entries.keys where name.hasPrefix("buffer.") && !name.hasSuffix("num_batches_tracked") {
      #expect(try distance(both([name])) < 0x1p-5, "\(name)")
    }
    // Cross-entropy moves by at most twice what a logit does.
    let moved = logits.map { abs($0.0 - $0.1) }.max() ?? 0
    let loss = try both(["loss"])[0]
    #expect(abs(loss.0 - loss.1) <= 2 * moved + 1e-6)
    print(
      "bf16 golden \(folder), \(tested): evaluation \(evaluation), logits \(distance(logits)), cosine of the gradients \(cosine)"
    )
  }

  @Test(
    "two lanes on two threads give the bytes of one, and a lane those of a larger one",
    arguments: TestedBFloat16Engine.available)
  func threads(_ tested: TestedBFloat16Engine) throws {
    var recipe = ModelRecipe()
    (recipe.width, recipe.groups, recipe.inputSize, recipe.classes) = (16, 4, 49, 7)
    let network = try Network(recipe, engine: tested.make())
    let parameters = network.initialParameters(seed: 5)
    for i in 0..<parameters.count where parameters[i] == 0 { parameters[i] = 0.125 }
    let input = randomNumbers(2 * network.inputCount, seed: 7)
    let alone = try trainOnce(network, parameters, input, [3, 1])
    #expect(alone.gradients.allSatisfy { $0.isFinite } && alone.gradients.contains { $0 != 0 })
    let results = Mutex<[[Float]]>([])
    DispatchQueue.concurrentPerform(iterations: 2) { thread in
      let room = thread == 0 ? 2 : 3
      let other = try? trainOnce(network, parameters, input, [3, 1], maximumClips: room).gradients
      results.withLock { $0.append(other ?? []) }
    }
    for other in results.withLock({ $0 }) { #expect(other == alone.gradients) }
  }

  @Test("bf16 is refused where the processor lacks it, unless the recipe asks for it")
  func refusal() throws {
    var recipe = Recipe()
    #expect(try recipe.makeEngine(hasBF16: false).precision == .float32)
    recipe.precision = .bf16
    do {
      _ = try recipe.makeEngine(hasBF16: false)
      Issue.record("accepted")
    } catch let error as BLVNetError {
      #expect(error.status == .badConfiguration)
      #expect(error.description.contains("avx512_bf16") && error.description.contains("emulate_bf16: true"))
      #expect(!error.description.contains("\n"))
    }
    if BFloat16Engine.isSupported { #expect(try recipe.makeEngine() is BFloat16Engine) }
    recipe.emulateBF16 = true
    // On all processors alike: what decides the bits is the recipe.
    for hasBF16 in [false, true] { #expect(try recipe.makeEngine(hasBF16: hasBF16) is EmulatedBFloat16Engine) }
  }
}

/// Random bf16 numbers.
private struct BFloat16Storage {
  let storage: AlignedStorage<UInt16>
  var count: Int { storage.count }
  var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(storage.base) }
  var floats: [Float] { storage.array.map { Float(bitPattern: UInt32($0) << 16) } }

  init(_ count: Int, seed: UInt64) { self.init(randomNumbers(count, seed: seed)) }

  init(_ numbers: FloatStorage) {
    storage = AlignedStorage(
      numbers.array.map { UInt16(truncatingIfNeeded: ($0.bitPattern + 0x7FFF + ($0.bitPattern >> 16 & 1)) >> 16) })
  }
}
