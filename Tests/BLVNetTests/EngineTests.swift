// The engine's three products against convolutions written as loops.
import CKernels
import Dispatch
import Shared
import Testing

@testable import BLVNet

/// The engines, and one that uses Winograd's convolutions wherever they fit.
enum TestedEngine: CaseIterable {
  case onednn, openblas, winograd

  func make() -> any ConvolutionEngine {
    switch self {
    case .onednn: OneDNNEngine()
    case .openblas: OpenBLASEngine()
    case .winograd: OneDNNEngine(winogradFrom: 1)
    }
  }
}

@Suite struct EngineTests {
  static let shapes: [ConvolutionShape] = [
    (3, 5, 7, 2, 3, 11, 9), (5, 7, 3, 1, 1, 7, 5), (5, 4, 3, 2, 1, 6, 7), (6, 3, 1, 1, 0, 5, 3), (4, 3, 1, 2, 0, 5, 6),
    // Enough output pixels for several tiles, and an image smaller than the window.
    (16, 3, 3, 1, 1, 40, 33), (2, 3, 7, 2, 3, 2, 1),
    // Winograd's: whole tiles, tiles that stand over, fewer outputs than a tile, several blocks.
    (16, 32, 3, 1, 1, 16, 12), (32, 16, 3, 1, 1, 15, 18), (16, 16, 3, 1, 1, 2, 3), (64, 64, 3, 1, 1, 40, 29),
    // The same at stride 2, odd sizes too; several slices of channels.
    (16, 32, 3, 2, 1, 15, 18), (32, 16, 3, 2, 1, 33, 24), (16, 16, 3, 2, 1, 2, 3), (64, 64, 3, 2, 1, 56, 31),
    (256, 144, 3, 1, 1, 8, 7), (144, 256, 3, 2, 1, 9, 14),
    // The stem's.
    (3, 16, 7, 2, 3, 26, 17), (4, 32, 7, 2, 3, 45, 62), (3, 16, 7, 2, 3, 2, 1), (2, 16, 7, 2, 3, 7, 5),
    // That of stacked frames, and a 3x3 of them: three times as many inputs, in slices.
    (9, 32, 7, 2, 3, 26, 17), (400, 128, 3, 1, 1, 8, 7),
    // Products of our own: more channels or pixels than a block, and fewer than a tile; and im2col.
    (528, 48, 1, 1, 0, 3, 5), (16, 32, 1, 1, 0, 21, 29), (16, 16, 1, 1, 0, 1, 1), (32, 32, 3, 2, 1, 14, 14),
  ].map {
    ConvolutionShape(
      inputChannels: $0.0, outputChannels: $0.1, kernel: $0.2, stride: $0.3, padding: $0.4, height: $0.5, width: $0.6)
  }

  /// Every (output, input, weight) index triple that a convolution multiplies.
  static func forEachProduct(_ s: ConvolutionShape, _ images: Int, _ body: (Int, Int, Int) -> Void) {
    for n in 0..<images {
      for y in 0..<s.outputHeight {
        for x in 0..<s.outputWidth {
          for a in 0..<s.kernel {
            for b in 0..<s.kernel {
              let (row, column) = (y * s.stride + a - s.padding, x * s.stride + b - s.padding)
              guard row >= 0, row < s.height, column >= 0, column < s.width else { continue }
              for o in 0..<s.outputChannels {
                for i in 0..<s.inputChannels {
                  body(
                    ((n * s.outputHeight + y) * s.outputWidth + x) * s.outputChannels + o,
                    ((n * s.height + row) * s.width + column) * s.inputChannels + i,
                    ((o * s.inputChannels + i) * s.kernel + a) * s.kernel + b)
                }
              }
            }
          }
        }
      }
    }
  }

  private func expectEqual(_ actual: FloatStorage, _ expected: [Double], _ what: String, within: Float) {
    var deviation = Deviation()
    deviation.compare(what, actual.array, expected.map(Float.init))
    #expect(deviation.worst < within, "\(what)")
  }

  @Test(
    "forward, data gradient and weight gradient are those of plain loops", arguments: shapes, TestedEngine.allCases)
  func engine(_ shape: ConvolutionShape, _ tested: TestedEngine) {
    let engine = tested.make()
    // Winograd's transforms round a few times coarser.
    let within: Float =
      tested == .openblas || !(WinogradConvolutions.fits(shape) || StemConvolution.fits(shape)) ? 5e-6 : 1.5e-5
    let images = 3
    let src = randomNumbers(images * shape.height * shape.width * shape.inputChannels, seed: 1)
    let dDst = randomNumbers(images * shape.outputHeight * shape.outputWidth * shape.outputChannels, seed: 2)
    let weights = randomNumbers(shape.weightCount, seed: 3)
    let workspace = FloatStorage(count: engine.prepare(shape, images: images))

    var (dst, dSrc, dWeights) = (
      [Double](repeating: 0, count: dDst.count), [Double](repeating: 0, count: src.count),
      [Double](repeating: 0, count: weights.count)
    )
    Self.forEachProduct(shape, images) { o, i, w in
      dst[o] += Double(src.base[i]) * Double(weights.base[w])
      dSrc[i] += Double(dDst.base[o]) * Double(weights.base[w])
      dWeights[w] += Double(dDst.base[o]) * Double(src.base[i])
    }

    let result = FloatStorage(repeatElement(.nan, count: dDst.count))
    engine.forward(
      shape, images: images, src: src.base, weights: weights.base, epilogue: nil, dst: result.base,
      workspace: workspace.base)
    expectEqual(result, dst, "forward", within: within)

    let dataGradient = FloatStorage(repeatElement(.nan, count: src.count))
    for accumulate in [false, true] {
      engine.dataGradient(
        shape, images: images, dDst: dDst.base, weights: weights.base, accumulate: accumulate, dSrc: dataGradient.base,
        workspace: workspace.base)
      expectEqual(
        dataGradient, dSrc.map { accumulate ? 2 * $0 : $0 }, "data gradient, accumulate \(accumulate)", within: within)
    }

    let weightGradient = FloatStorage(repeatElement(.nan, count: weights.count))
    engine.weightGradient(
      shape, images: images, outputs: 0..<shape.outputChannels, src: src.base, dDst: dDst.base,
      dWeights: weightGradient.base, workspace: workspace.base)
    expectEqual(weightGradient, dWeights, "weight gradient", within: within)
  }

  @Test(
    "an epilogue scales, shifts, adds and cuts what plain loops sum up", arguments: shapes, TestedEngine.allCases)
  func epilogue(_ shape: ConvolutionShape, _ tested: TestedEngine) {
    let engine = tested.make()
    let images = 2
    let src = randomNumbers(images * shape.height * shape.width * shape.inputChannels, seed: 1)
    let before = randomNumbers(images * shape.outputHeight * shape.outputWidth * shape.outputChannels, seed: 2)
    let weights = randomNumbers(shape.weightCount, seed: 3)
    let (scale, shift) = (randomNumbers(shape.outputChannels, seed: 4), randomNumbers(shape.outputChannels, seed: 5))
    var sums = [Double](repeating: 0, count: before.count)
    Self.forEachProduct(shape, images) { o, i, w in sums[o] += Double(src.base[i]) * Double(weights.base[w]) }
    for (adds, relu) in [(false, false), (false, true), (true, false), (true, true)] {
      var epilogue = tamring_epilogue(scale: scale.base, shift: shift.base, adds: adds, relu: relu)
      let expected = sums.enumerated().map { i, sum in
        let channel = i % shape.outputChannels
        let value = Double(scale[channel]) * sum + Double(shift[channel]) + (adds ? Double(before[i]) : 0)
        return relu ? max(0, value) : value
      }
      // All of the workspace that is asked for, and what lies there before does not matter.
      let room = engine.prepare(shape, images: images, epilogue: EpilogueKind(adds: adds, relu: relu))
      let workspace = FloatStorage(repeatElement(.nan, count: room))
      let dst = adds ? FloatStorage(before.array) : FloatStorage(repeatElement(.nan, count: before.count))
      engine.forward(
        shape, images: images, src: src.base, weights: weights.base, epilogue: &epilogue, dst: dst.base,
        workspace: workspace.base)
      expectEqual(dst, expected, "adds \(adds), relu \(relu)", within: 1e-5)
      #expect(!relu || dst.array.contains(0))
    }
  }

  @Test("threads that share an engine get the bytes of one alone", arguments: TestedEngine.allCases)
  func sharing(_ tested: TestedEngine) {
    let shapes = [
      (64, 32, 3, 1, 28), (32, 32, 3, 2, 28), (256, 256, 3, 2, 14), (64, 128, 1, 1, 14), (128, 512, 1, 1, 14),
      (3, 64, 7, 2, 56),
    ]
    let engine = tested.make()
    let images = 2
    for (inputs, outputs, kernel, stride, size) in shapes {
      let shape = ConvolutionShape(
        inputChannels: inputs, outputChannels: outputs, kernel: kernel, stride: stride, padding: kernel / 2,
        height: size, width: size)
      let room = engine.prepare(shape, images: images)
      let src = randomNumbers(images * size * size * inputs, seed: 1)
      let dDst = randomNumbers(images * shape.outputHeight * shape.outputWidth * outputs, seed: 2)
      let weights = randomNumbers(shape.weightCount, seed: 3)
      let results = (0..<8).map { _ in
        [FloatStorage(count: dDst.count), FloatStorage(count: src.count), FloatStorage(count: weights.count)]
      }
      @Sendable func run(_ all: [FloatStorage]) {
        let workspace = FloatStorage(count: room)
        engine.forward(
          shape, images: images, src: src.base, weights: weights.base, epilogue: nil, dst: all[0].base,
          workspace: workspace.base)
        engine.dataGradient(
          shape, images: images, dDst: dDst.base, weights: weights.base, accumulate: false, dSrc: all[1].base,
          workspace: workspace.base)
        engine.weightGradient(
          shape, images: images, outputs: 0..<outputs, src: src.base, dDst: dDst.base, dWeights: all[2].base,
          workspace: workspace.base)
      }
      run(results[0])
      DispatchQueue.concurrentPerform(iterations: 7) { run(results[$0 + 1]) }
      for other in results.dropFirst() {
        for (one, another) in zip(results[0], other) {
          #expect(one.bytes.elementsEqual(another.bytes), "\(inputs)>\(outputs) \(kernel)x\(kernel)/\(stride)")
        }
      }
    }
  }
}
