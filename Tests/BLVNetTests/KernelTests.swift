// The kernels as dispatched for this CPU against their twins for the lowest CPU level: the same bytes at odd sizes.
import CKernels
import Shared
import Testing

@testable import BLVNet

@Suite struct KernelTests {
  /// Runs both twins on equal copies of `memory` and compares all of it.
  private func expectEqualBits(
    _ what: String, _ memory: [FloatStorage], _ first: ([FloatStorage]) -> Void, _ second: ([FloatStorage]) -> Void
  ) {
    let (a, b) = (memory.map { FloatStorage($0.array) }, memory.map { FloatStorage($0.array) })
    first(a)
    second(b)
    for (x, y) in zip(a, b) {
      #expect(x.array.map(\.bitPattern) == y.array.map(\.bitPattern), "\(what)")
    }
    #expect(zip(a, memory).contains { $0.array.map(\.bitPattern) != $1.array.map(\.bitPattern) }, "\(what) did nothing")
  }

  @Test("im2col and col2im have equal bits in every variant", arguments: [1, 3, 16, 19])
  func im2col(_ channels: Int) {
    var window = tamring_window(
      height: 7, width: 5, channels: Int64(channels), kernel: 3, stride: 2, padding: 1, out_height: 4, out_width: 3)
    let images = 3
    let (small, large) = (images * 12 * channels, images * 35 * channels)
    let rows = Int64(images * 12)
    let src = randomNumbers(large, seed: 1)
    let columns = randomNumbers(9 * small, seed: 3)
    expectEqualBits("im2col", [FloatStorage(count: 9 * small)]) {
      tamring_im2col(&window, src.base, 0, rows, $0[0].base)
    } _: {
      tamring_im2col_generic(&window, src.base, 0, rows, $0[0].base)
    }
    expectEqualBits("col2im", [src]) {
      tamring_col2im(&window, columns.base, 0, rows, $0[0].base)
    } _: {
      tamring_col2im_generic(&window, columns.base, 0, rows, $0[0].base)
    }
  }

  @Test("Winograd's transforms and products have equal bits in every variant", arguments: [1, 2], [false, true])
  func winograd(_ stride: Int64, _ back: Bool) {
    let (tiles, from, to) = (25, 32, 48)
    let points = stride == 1 ? 36 : 81
    let gaps = 36 * 16
    let a = randomNumbers((points * tiles + 36) * from + gaps, seed: 2)
    let b = randomNumbers((points * tiles + 36) * to + gaps, seed: 3)
    let transformed = randomNumbers(36 * from * to + gaps, seed: 4)
    var weights = tamring_winograd_weights_shape(
      stride: stride, from: Int64(from), to: Int64(to), from_stride: 9, to_stride: Int64(9 * from), turned: back)
    let numbers = randomNumbers(9 * from * to, seed: 5)
    expectEqualBits("winograd_weights", [FloatStorage(count: transformed.count)]) {
      tamring_winograd_weights(&weights, numbers.base, $0[0].base)
    } _: {
      tamring_winograd_weights_generic(&weights, numbers.base, $0[0].base)
    }
    // All counts of rows, and so all sizes of groups.
    for count in 1...Int64(tiles) {
      expectEqualBits("winograd_multiply", [FloatStorage(count: b.count)]) {
        tamring_winograd_multiply(stride, count, Int64(from), Int64(to), a.base, transformed.base, $0[0].base)
      } _: {
        tamring_winograd_multiply_generic(stride, count, Int64(from), Int64(to), a.base, transformed.base, $0[0].base)
      }
    }
    var gradients = tamring_winograd_gradients_shape(
      stride: stride, tiles: Int64(tiles), outputs: Int64(to), inputs: Int64(from), first: 16, count: 32)
    for add in [false, true] {
      expectEqualBits("winograd_multiply_gradients", [transformed]) {
        tamring_winograd_multiply_gradients(&gradients, b.base, a.base, add, $0[0].base)
      } _: {
        tamring_winograd_multiply_gradients_generic(&gradients, b.base, a.base, add, $0[0].base)
      }
    }
    expectEqualBits("winograd_weight_gradients", [FloatStorage(count: numbers.count)]) {
      tamring_winograd_weight_gradients(transformed.base, stride, Int64(to), Int64(from), $0[0].base)
    } _: {
      tamring_winograd_weight_gradients_generic(transformed.base, stride, Int64(to), Int64(from), $0[0].base)
    }
  }

  @Test(
    "products of pixels have equal bits in every variant",
    arguments: [(1, 16), (200, 272), (13, 32), (261, 16), (202, 32), (9, 48)])
  func pointwise(_ pixels: Int, _ inputs: Int) {
    let (outputs, p, i) = (48, Int64(pixels), Int64(inputs))
    let (images, gradients) = (randomNumbers(pixels * inputs, seed: 1), randomNumbers(pixels * outputs, seed: 2))
    let weights = randomNumbers(inputs * outputs, seed: 3)
    let (room, scales) = (FloatStorage(count: 256 * (inputs + outputs)), randomNumbers(outputs, seed: 4))
    for (turned, scale) in [(false, nil), (false, scales.base), (true, nil)] {
      expectEqualBits("pointwise_pack", [FloatStorage(count: weights.count)]) {
        tamring_pointwise_pack(48, i, turned, weights.base, scale, $0[0].base)
      } _: {
        tamring_pointwise_pack_generic(48, i, turned, weights.base, scale, $0[0].base)
      }
    }
    for add in [false, true] {
      expectEqualBits("pointwise", [gradients]) {
        tamring_pointwise(p, i, 48, images.base, weights.base, add, nil, $0[0].base)
      } _: {
        tamring_pointwise_generic(p, i, 48, images.base, weights.base, add, nil, $0[0].base)
      }
      var epilogue = tamring_epilogue(scale: scales.base, shift: scales.base, adds: add, relu: add)
      expectEqualBits("pointwise, with an epilogue", [gradients]) {
        tamring_pointwise(p, i, 48, images.base, weights.base, add, &epilogue, $0[0].base)
      } _: {
        tamring_pointwise_generic(p, i, 48, images.base, weights.base, add, &epilogue, $0[0].base)
      }
    }
    for add in [false, true] {
      expectEqualBits("pointwise_weight_gradient", [weights]) {
        tamring_pointwise_weight_gradient(p, 48, 48, i, gradients.base, images.base, add, room.base, $0[0].base)
      } _: {
        tamring_pointwise_weight_gradient_generic(p, 48, 48, i, gradients.base, images.base, add, room.base, $0[0].base)
      }
    }
  }

  @Test("what follows a convolution's sums has equal bits in every variant", arguments: [1, 16, 37])
  func epilogue(_ channels: Int) {
    let (sums, dst) = (randomNumbers(5 * channels, seed: 1), randomNumbers(5 * channels, seed: 2))
    let (scale, shift) = (randomNumbers(channels, seed: 3), randomNumbers(channels, seed: 4))
    for (adds, relu) in [(false, false), (false, true), (true, false), (true, true)] {
      var epilogue = tamring_epilogue(scale: scale.base, shift: shift.base, adds: adds, relu: relu)
      expectEqualBits("apply_epilogue", [dst]) {
        tamring_apply_epilogue(&epilogue, 5, Int64(channels), sums.base, $0[0].base)
      } _: {
        tamring_apply_epilogue_generic(&epilogue, 5, Int64(channels), sums.base, $0[0].base)
      }
      expectEqualBits("scale_weights", [dst]) {
        tamring_scale_weights(&epilogue, Int64(channels), 5, sums.base, $0[0].base)
      } _: {
        tamring_scale_weights_generic(&epilogue, Int64(channels), 5, sums.base, $0[0].base)
      }
    }
  }

  @Test("the stem's transforms have equal bits in every variant")
  func stem() {
    // Two images of three by two tiles.
    let images = randomNumbers(2 * 7 * 5 * 16, seed: 1)
    var window = tamring_window(
      height: 7, width: 5, channels: 16, kernel: 4, stride: 1, padding: 2, out_height: 7, out_width: 5)
    let points = randomNumbers(36 * 13 * 16 + 36 * 16, seed: 2)
    expectEqualBits("winograd_inputs", [FloatStorage(count: points.count)]) {
      tamring_winograd_inputs(false, &window, false, images.base, 0, 12, $0[0].base)
    } _: {
      tamring_winograd_inputs_generic(false, &window, false, images.base, 0, 12, $0[0].base)
    }
    expectEqualBits("winograd_gradients", [FloatStorage(count: points.count)]) {
      tamring_winograd_gradients(false, &window, images.base, 0, 12, $0[0].base)
    } _: {
      tamring_winograd_gradients_generic(false, &window, images.base, 0, 12, $0[0].base)
    }
    expectEqualBits("winograd_outputs", [images]) {
      tamring_winograd_outputs(false, &window, false, points.base, 0, 12, 0, 16, false, nil, $0[0].base)
    } _: {
      tamring_winograd_outputs_generic(false, &window, false, points.base, 0, 12, 0, 16, false, nil, $0[0].base)
    }
    let (weights, transformed) = (randomNumbers(32 * 3 * 49, seed: 3), randomNumbers(36 * 32 * 16 + 36 * 16, seed: 4))
    expectEqualBits("stem_weights", [FloatStorage(count: transformed.count)]) {
      tamring_stem_weights(32, 3, weights.base, $0[0].base)
    } _: {
      tamring_stem_weights_generic(32, 3, weights.base, $0[0].base)
    }
    expectEqualBits("stem_weight_gradients", [FloatStorage(count: weights.count)]) {
      tamring_stem_weight_gradients(32, 3, transformed.base, $0[0].base)
    } _: {
      tamring_stem_weight_gradients_generic(32, 3, transformed.base, $0[0].base)
    }
  }

  @Test("the optimiser has equal bits in every variant", arguments: [1, 17, 1003], [false, true])
  func optimiser(_ count: Int, _ nesterov: Bool) {
    var rule = tamring_sgd_rule(rate: 0.1, momentum: 0.9, weight_decay: 5e-4, nesterov: nesterov)
    let gradient = randomNumbers(count, seed: 1)
    let state = [randomNumbers(count, seed: 2), randomNumbers(count, seed: 3)]
    expectEqualBits("sgd", state) {
      tamring_sgd(&rule, Int64(count), gradient.base, 3, $0[0].base, $0[1].base)
    } _: {
      tamring_sgd_generic(&rule, Int64(count), gradient.base, 3, $0[0].base, $0[1].base)
    }
    let q = AlignedStorage((0..<count).map { Int32(truncatingIfNeeded: $0 &* 0x9E37_79B1) })
    expectEqualBits("sgd_reduced", state) {
      tamring_sgd_reduced(&rule, Int64(count), q.base, 0x1p-24, 3, $0[0].base, $0[1].base)
    } _: {
      tamring_sgd_reduced_generic(&rule, Int64(count), q.base, 0x1p-24, 3, $0[0].base, $0[1].base)
    }
    var adamw = tamring_adamw_rule(
      beta1: 0.9, take1: 0.1, beta2: 0.999, take2: 0.001, keep: 0.9999, rate: 0.01, root_correction: 0.05, epsilon: 1e-8
    )
    let moments = state + [FloatStorage(randomNumbers(count, seed: 4).array.map { $0 * $0 })]
    expectEqualBits("adamw", moments) {
      tamring_adamw(&adamw, Int64(count), gradient.base, 3, $0[0].base, $0[1].base, $0[2].base)
    } _: {
      tamring_adamw_generic(&adamw, Int64(count), gradient.base, 3, $0[0].base, $0[1].base, $0[2].base)
    }
    expectEqualBits("adamw_reduced", moments) {
      tamring_adamw_reduced(&adamw, Int64(count), q.base, 0x1p-24, 3, $0[0].base, $0[1].base, $0[2].base)
    } _: {
      tamring_adamw_reduced_generic(&adamw, Int64(count), q.base, 0x1p-24, 3, $0[0].base, $0[1].base, $0[2].base)
    }
    expectEqualBits("blend", [state[0]]) {
      tamring_blend(Int64(count), 0.9, 0.1, gradient.base, $0[0].base)
    } _: {
      tamring_blend_generic(Int64(count), 0.9, 0.1, gradient.base, $0[0].base)
    }
  }
}
