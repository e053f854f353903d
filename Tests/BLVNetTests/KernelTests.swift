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

  /// Sums are doubles; two floats' room each.
  private func doubles(_ storage: FloatStorage) -> UnsafeMutablePointer<Double> {
    UnsafeMutableRawPointer(storage.base).assumingMemoryBound(to: Double.self)
  }

  @Test("normalisation has equal bits in every variant", arguments: [(1, 7), (5, 331), (16, 40), (24, 77), (64, 333)])
  func norm(_ channels: Int, _ rows: Int) {
    let n = Int64(channels * rows)
    let span = tamring_span(Int64(channels))
    #expect(span % 16 == 0 && span % Int64(channels) == 0 && span >= 64)
    let count = Int(n)
    let vectors = (0..<4).map { randomNumbers(Int(span), seed: UInt64(10 + $0)) }
    let (x, g, y) = (randomNumbers(count, seed: 1), randomNumbers(count, seed: 2), randomNumbers(count, seed: 3))
    let sums = FloatStorage(count: 4 * Int(span))
    let v = vectors.map { UnsafePointer($0.base) }

    expectEqualBits("norm_sums", [sums]) {
      tamring_norm_sums(x.base, n, span, v[0], doubles($0[0]))
    } _: {
      tamring_norm_sums_generic(x.base, n, span, v[0], doubles($0[0]))
    }
    for relu in [false, true] {
      for residual in [nil, UnsafePointer(g.base)] {
        expectEqualBits("norm_forward", [FloatStorage(count: count)]) {
          tamring_norm_forward(x.base, n, span, v[0], v[1], v[2], residual, relu, $0[0].base)
        } _: {
          tamring_norm_forward_generic(x.base, n, span, v[0], v[1], v[2], residual, relu, $0[0].base)
        }
      }
      expectEqualBits("norm_backward_sums", [g, sums]) {
        tamring_norm_backward_sums($0[0].base, relu ? y.base : nil, x.base, n, span, v[0], nil, nil, doubles($0[1]))
      } _: {
        tamring_norm_backward_sums_generic(
          $0[0].base, relu ? y.base : nil, x.base, n, span, v[0], nil, nil, doubles($0[1]))
      }
    }
    expectEqualBits("norm_backward_sums, recomputed", [g, sums]) {
      tamring_norm_backward_sums($0[0].base, nil, x.base, n, span, v[0], v[1], v[2], doubles($0[1]))
    } _: {
      tamring_norm_backward_sums_generic($0[0].base, nil, x.base, n, span, v[0], v[1], v[2], doubles($0[1]))
    }
    for (scale, shift) in [(nil, nil), (v[1], v[2])] {
      expectEqualBits("norm_backward", [g]) {
        tamring_norm_backward($0[0].base, x.base, n, span, v[0], scale, shift, v[1], v[2], v[3], $0[0].base)
      } _: {
        tamring_norm_backward_generic($0[0].base, x.base, n, span, v[0], scale, shift, v[1], v[2], v[3], $0[0].base)
      }
    }
    expectEqualBits("accumulate", [g]) {
      tamring_accumulate(x.base, n, $0[0].base)
    } _: {
      tamring_accumulate_generic(x.base, n, $0[0].base)
    }
  }

  @Test("the temporal module has equal bits in every variant", arguments: [1, 5, 16, 48], [1, 3, 4])
  func temporal(_ channels: Int, _ taps: Int) {
    let span = tamring_span(Int64(channels))
    let (frames, pixels) = (4, 131)
    for (paired, split) in [(false, false), (false, true), (true, true)] {
      var shape = tamring_temporal_shape(
        frames: Int64(frames), taps: Int64(taps), frame_size: Int64(pixels * channels), span: span, paired: paired,
        split: split)
      let count = 2 * frames * pixels * channels
      let src = randomNumbers(paired ? count / 2 : count, seed: 1)
      let weights = randomNumbers(taps * Int(span), seed: 2)
      let results = [randomNumbers(count, seed: 3), randomNumbers(count, seed: 4)]
      let slopes = [randomNumbers(count, seed: 5), randomNumbers(count, seed: 6)]
      expectEqualBits("temporal_forward", results) {
        tamring_temporal_forward(&shape, 2, src.base, weights.base, $0[0].base, $0[1].base)
      } _: {
        tamring_temporal_forward_generic(&shape, 2, src.base, weights.base, $0[0].base, $0[1].base)
      }
      let sums = FloatStorage(count: 2 * taps * Int(span))
      for accumulate in [false, true] {
        expectEqualBits("temporal_backward", slopes + [FloatStorage(src.array), sums]) {
          tamring_temporal_backward(
            &shape, 2, src.base, weights.base, results[0].base, results[1].base, $0[0].base, $0[1].base, accumulate,
            $0[2].base, doubles($0[3]))
        } _: {
          tamring_temporal_backward_generic(
            &shape, 2, src.base, weights.base, results[0].base, results[1].base, $0[0].base, $0[1].base, accumulate,
            $0[2].base, doubles($0[3]))
        }
      }
    }
  }

  @Test("windows have equal bits in every variant", arguments: [1, 3, 16, 19])
  func windows(_ channels: Int) {
    var window = tamring_window(
      height: 7, width: 5, channels: Int64(channels), kernel: 3, stride: 2, padding: 1, out_height: 4, out_width: 3)
    let images = 3
    let (small, large) = (images * 12 * channels, images * 35 * channels)
    let rows = Int64(images * 12)
    let (src, d) = (randomNumbers(large, seed: 1), randomNumbers(small, seed: 2))
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
    expectEqualBits("average_pool", [d]) {
      tamring_average_pool(&window, Int64(images), src.base, $0[0].base)
    } _: {
      tamring_average_pool_generic(&window, Int64(images), src.base, $0[0].base)
    }
    expectEqualBits("average_pool_gradient", [src]) {
      tamring_average_pool_gradient(&window, Int64(images), d.base, $0[0].base)
    } _: {
      tamring_average_pool_gradient_generic(&window, Int64(images), d.base, $0[0].base)
    }
    var sizes = tamring_window(
      height: 4, width: 3, channels: Int64(channels), kernel: 1, stride: 1, padding: 0, out_height: 7, out_width: 5)
    expectEqualBits("enlarge", [src]) {
      tamring_enlarge(&sizes, Int64(images), d.base, $0[0].base)
    } _: {
      tamring_enlarge_generic(&sizes, Int64(images), d.base, $0[0].base)
    }
    expectEqualBits("enlarge_gradient", [d]) {
      tamring_enlarge_gradient(&sizes, Int64(images), src.base, $0[0].base)
    } _: {
      tamring_enlarge_gradient_generic(&sizes, Int64(images), src.base, $0[0].base)
    }
  }

  @Test("Winograd's transforms and products have equal bits in every variant", arguments: [1, 2], [false, true])
  func winograd(_ stride: Int64, _ back: Bool) {
    let (tiles, from, to) = (8, 16, 32)
    let size = stride == 1 ? (7, 5) : (13, 9)
    var window = tamring_window(
      height: Int64(size.0), width: Int64(size.1), channels: Int64(from), kernel: 3, stride: stride, padding: 1,
      out_height: 7, out_width: 5)
    let points = stride == 1 ? 36 : 81
    let gaps = 36 * 16
    // Two images of two by two tiles.
    let images = randomNumbers(2 * 13 * 9 * from, seed: 1)
    let a = randomNumbers(points * tiles * from + gaps, seed: 2)
    let b = randomNumbers(points * tiles * to + gaps, seed: 3)
    let forms = randomNumbers(36 * from * to + gaps, seed: 4)
    expectEqualBits("winograd_inputs", [FloatStorage(count: a.count)]) {
      tamring_winograd_inputs(&window, back, images.base, 0, 8, $0[0].base)
    } _: {
      tamring_winograd_inputs_generic(&window, back, images.base, 0, 8, $0[0].base)
    }
    expectEqualBits("winograd_slopes", [FloatStorage(count: a.count)]) {
      tamring_winograd_slopes(&window, images.base, 0, 8, $0[0].base)
    } _: {
      tamring_winograd_slopes_generic(&window, images.base, 0, 8, $0[0].base)
    }
    for accumulate in [false, true] {
      expectEqualBits("winograd_outputs", [images]) {
        tamring_winograd_outputs(&window, back, a.base, 0, 8, 0, Int64(from), accumulate, $0[0].base)
      } _: {
        tamring_winograd_outputs_generic(&window, back, a.base, 0, 8, 0, Int64(from), accumulate, $0[0].base)
      }
    }
    var weights = tamring_winograd_weights_shape(
      stride: stride, from: Int64(from), to: Int64(to), from_stride: 9, to_stride: Int64(9 * from), turned: back)
    let numbers = randomNumbers(9 * from * to, seed: 5)
    expectEqualBits("winograd_weights", [FloatStorage(count: forms.count)]) {
      tamring_winograd_weights(&weights, numbers.base, $0[0].base)
    } _: {
      tamring_winograd_weights_generic(&weights, numbers.base, $0[0].base)
    }
    // All counts of rows, and so all sizes of groups.
    for count in 1...Int64(tiles) {
      expectEqualBits("winograd_multiply", [FloatStorage(count: b.count)]) {
        tamring_winograd_multiply(stride, count, Int64(from), Int64(to), a.base, forms.base, $0[0].base)
      } _: {
        tamring_winograd_multiply_generic(stride, count, Int64(from), Int64(to), a.base, forms.base, $0[0].base)
      }
    }
    var slopes = tamring_winograd_slopes_shape(
      stride: stride, tiles: Int64(tiles), outputs: Int64(to), inputs: Int64(from), first: 16, count: 16)
    for add in [false, true] {
      expectEqualBits("winograd_multiply_slopes", [forms]) {
        tamring_winograd_multiply_slopes(&slopes, b.base, a.base, add, $0[0].base)
      } _: {
        tamring_winograd_multiply_slopes_generic(&slopes, b.base, a.base, add, $0[0].base)
      }
    }
    expectEqualBits("winograd_weight_slopes", [FloatStorage(count: numbers.count)]) {
      tamring_winograd_weight_slopes(forms.base, stride, Int64(to), Int64(from), $0[0].base)
    } _: {
      tamring_winograd_weight_slopes_generic(forms.base, stride, Int64(to), Int64(from), $0[0].base)
    }
  }

  @Test("the stem's gradient has equal bits in every variant")
  func stem() {
    var window = tamring_window(
      height: 13, width: 9, channels: 3, kernel: 7, stride: 2, padding: 3, out_height: 7, out_width: 5)
    let (src, slopes) = (randomNumbers(2 * 13 * 9 * 3, seed: 1), randomNumbers(2 * 35 * 8, seed: 2))
    let row = FloatStorage(count: Int(tamring_row_slopes_room(&window)))
    expectEqualBits("row_slopes", [FloatStorage(count: 8 * 7 * 24)]) {
      tamring_row_slopes(&window, 2, 8, src.base, slopes.base, row.base, $0[0].base)
    } _: {
      tamring_row_slopes_generic(&window, 2, 8, src.base, slopes.base, row.base, $0[0].base)
    }
  }

  @Test("results too many for the caches, which are written past them, are those of small pieces")
  func streaming() {
    let size = 2 << 20
    let count = 3 * size
    let x = randomNumbers(count, seed: 1)
    let v = (0..<3).map { randomNumbers(64, seed: UInt64(2 + $0)) }
    let (whole, pieces) = (FloatStorage(count: count), FloatStorage(count: count))
    tamring_norm_forward(x.base, Int64(count), 64, v[0].base, v[1].base, v[2].base, nil, true, whole.base)
    for first in stride(from: 0, to: count, by: size) {
      tamring_norm_forward(
        x.base + first, Int64(size), 64, v[0].base, v[1].base, v[2].base, nil, true, pieces.base + first)
    }
    #expect(whole.bytes.elementsEqual(pieces.bytes))

    var shape = tamring_temporal_shape(
      frames: 4, taps: 3, frame_size: Int64(size / 4), span: 64, paired: false, split: false)
    let weights = randomNumbers(3 * 64, seed: 5)
    let (results, slopes) = (randomNumbers(count, seed: 6), randomNumbers(count, seed: 7))
    let sums = FloatStorage(count: 2 * 3 * 64)
    func forward(_ clips: Int64, _ at: Int, _ dst: FloatStorage) {
      tamring_temporal_forward(&shape, clips, x.base + at, weights.base, dst.base + at, dst.base + at)
    }
    func backward(_ clips: Int64, _ at: Int, _ dst: FloatStorage) {
      tamring_temporal_backward(
        &shape, clips, x.base + at, weights.base, results.base + at, results.base + at, slopes.base + at,
        slopes.base + at, false, dst.base + at, doubles(sums))
    }
    for pass in [forward, backward] {
      pass(3, 0, whole)
      for first in stride(from: 0, to: count, by: size) { pass(1, first, pieces) }
      #expect(whole.bytes.elementsEqual(pieces.bytes))
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
    expectEqualBits("blend", [state[0]]) {
      tamring_blend(Int64(count), 0.9, 0.1, gradient.base, $0[0].base)
    } _: {
      tamring_blend_generic(Int64(count), 0.9, 0.1, gradient.base, $0[0].base)
    }
  }
}
