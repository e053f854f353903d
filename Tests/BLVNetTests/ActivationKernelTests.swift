// The kernels on activations at odd sizes, in float32 and bf16: every variant for a CPU level gives the same bytes, and
// bf16 gives what float32 gives on the same numbers, rounded once.
import CKernels
import Shared
import Testing

@testable import BLVNet

@Suite struct ActivationKernelTests {
  /// A kernel's memory: activations in the precision under test, and what is float (or double) in both.
  private struct Memory {
    var activations: [AlignedStorage<UInt16>]
    var floats: [FloatStorage]

    /// - Parameter numbers: rounded to bf16 in both precisions.
    init(_ bf16: Bool, _ numbers: [FloatStorage], _ floats: [FloatStorage]) {
      activations = numbers.map { numbers in
        let halves = AlignedStorage<UInt16>(count: numbers.count)
        tamring_to_bf16(numbers.base, Int64(numbers.count), halves.base)
        if bf16 { return halves }
        let wide = AlignedStorage<UInt16>(count: 2 * numbers.count)
        UnsafeMutableRawPointer(wide.base).withMemoryRebound(to: Float.self, capacity: numbers.count) {
          tamring_from_bf16(halves.base, Int64(numbers.count), $0)
        }
        return wide
      }
      self.floats = floats.map { FloatStorage($0.array) }
    }

    subscript(_ index: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(activations[index].base) }

    /// Sums are doubles; two floats' room each.
    func doubles(_ index: Int) -> UnsafeMutablePointer<Double> {
      UnsafeMutableRawPointer(floats[index].base).assumingMemoryBound(to: Double.self)
    }

    var bits: [[UInt32]] { activations.map { $0.array.map(UInt32.init) } + floats.map { $0.array.map(\.bitPattern) } }

    /// Of float activations, what they are in bf16.
    var rounded: [[UInt32]] {
      let words = activations.map { storage in
        let halves = AlignedStorage<UInt16>(count: storage.count / 2)
        UnsafeMutableRawPointer(storage.base).withMemoryRebound(to: Float.self, capacity: halves.count) {
          tamring_to_bf16($0, Int64(halves.count), halves.base)
        }
        return halves.array.map(UInt32.init)
      }
      return words + floats.map { $0.array.map(\.bitPattern) }
    }
  }

  private func check(
    _ what: String, _ numbers: [FloatStorage], _ floats: [FloatStorage] = [], _ kernel: (Bool, Memory) -> Void,
    _ generic: (Bool, Memory) -> Void
  ) {
    for bf16 in [false, true] {
      let (a, b) = (Memory(bf16, numbers, floats), Memory(bf16, numbers, floats))
      kernel(bf16, a)
      generic(bf16, b)
      #expect(a.bits == b.bits, "\(what), bf16 \(bf16)")
      #expect(a.bits != Memory(bf16, numbers, floats).bits, "\(what) did nothing")
    }
    let (wide, halves) = (Memory(false, numbers, floats), Memory(true, numbers, floats))
    kernel(false, wide)
    kernel(true, halves)
    #expect(wide.rounded == halves.bits, "\(what): bf16 is not float32 rounded once")
  }

  @Test("rounding to bf16 is to the nearest, ties to even, and keeps what is no number")
  func rounding() {
    let bits: [UInt32] = [
      0, 0x8000_0000, 0x3F80_0000, 0x3F80_7FFF, 0x3F80_8000, 0x3F80_8001, 0x3F81_8000, 0x3F81_7FFF, 0xBF81_8000,
      0x7F7F_FFFF, 0xFF7F_8000, 0x7F80_0000, 0xFF80_0000, 0x7F80_0001, 0xFFFF_FFFF, 0x7FC0_0000, 0x0000_8001,
      0x0001_8000,
    ]
    let expected: [UInt16] = [
      0, 0x8000, 0x3F80, 0x3F80, 0x3F80, 0x3F81, 0x3F82, 0x3F81, 0xBF82, 0x7F80, 0xFF80, 0x7F80, 0xFF80, 0x7FC0, 0xFFFF,
      0x7FC0, 0x0001, 0x0002,
    ]
    // In vectors and alone.
    for repeats in [1, 16] {
      let numbers = FloatStorage((0..<repeats).flatMap { _ in bits.map { Float(bitPattern: $0) } })
      let halves = AlignedStorage<UInt16>(count: numbers.count)
      for variant in [tamring_to_bf16, tamring_to_bf16_generic] {
        halves.zero()
        variant(numbers.base, Int64(numbers.count), halves.base)
        #expect(halves.array == (0..<repeats).flatMap { _ in expected })
      }
      let (wide, rounded) = (FloatStorage(count: numbers.count), FloatStorage(count: numbers.count))
      tamring_from_bf16(halves.base, Int64(numbers.count), wide.base)
      tamring_round_to_bf16(numbers.base, Int64(numbers.count), rounded.base)
      #expect(wide.array.map(\.bitPattern) == halves.array.map { UInt32($0) << 16 })
      #expect(rounded.array.map(\.bitPattern) == wide.array.map(\.bitPattern))
    }
    // The vectors that kernels are written in: x · 1 + 0 on whole rows of a span, and on a rest.
    let numbers = FloatStorage((0..<100).map { Float(bitPattern: bits[$0 % 13]) * 1.25 })
    let (zeros, ones) = (FloatStorage(count: 64), FloatStorage(repeatElement(1, count: 64)))
    check("norm_forward", [numbers, FloatStorage(count: 100)]) {
      tamring_norm_forward($0, $1[0], 100, 64, zeros.base, ones.base, zeros.base, nil, nil, false, $1[1])
    } _: {
      tamring_norm_forward_generic($0, $1[0], 100, 64, zeros.base, ones.base, zeros.base, nil, nil, false, $1[1])
    }
  }

  @Test("normalisation", arguments: [(1, 7), (5, 331), (16, 40), (24, 77), (64, 333), (528, 9)])
  func norm(_ channels: Int, _ rows: Int) {
    let n = Int64(channels * rows)
    let span = tamring_span(Int64(channels))
    #expect(span % 16 == 0 && span % Int64(channels) == 0 && span >= 64)
    let count = Int(n)
    let v = (0..<4).map { randomNumbers(Int(span), seed: UInt64(10 + $0)) }
    let (x, g, y) = (randomNumbers(count, seed: 1), randomNumbers(count, seed: 2), randomNumbers(count, seed: 3))
    let sums = FloatStorage(count: 4 * Int(span))

    check("norm_sums", [x], [sums]) {
      tamring_norm_sums($0, $1[0], n, span, v[0].base, $1.doubles(0))
    } _: {
      tamring_norm_sums_generic($0, $1[0], n, span, v[0].base, $1.doubles(0))
    }
    for relu in [false, true] {
      for residual in [false, true] {
        check("norm_forward", [x, g, FloatStorage(count: count)]) {
          tamring_norm_forward(
            $0, $1[0], n, span, v[0].base, v[1].base, v[2].base, residual ? $1[1] : nil, nil, relu, $1[2])
        } _: {
          tamring_norm_forward_generic(
            $0, $1[0], n, span, v[0].base, v[1].base, v[2].base, residual ? $1[1] : nil, nil, relu, $1[2])
        }
      }
      check("norm_backward_sums", [g, y, x], [sums]) {
        tamring_norm_backward_sums($0, $1[0], relu ? $1[1] : nil, $1[2], n, span, v[0].base, nil, nil, $1.doubles(0))
      } _: {
        tamring_norm_backward_sums_generic(
          $0, $1[0], relu ? $1[1] : nil, $1[2], n, span, v[0].base, nil, nil, $1.doubles(0))
      }
    }
    check("norm_backward_sums, recomputed", [g, x], [sums]) {
      tamring_norm_backward_sums($0, $1[0], nil, $1[1], n, span, v[0].base, v[1].base, v[2].base, $1.doubles(0))
    } _: {
      tamring_norm_backward_sums_generic($0, $1[0], nil, $1[1], n, span, v[0].base, v[1].base, v[2].base, $1.doubles(0))
    }
    for recomputes in [false, true] {
      check("norm_backward", [g, x]) {
        tamring_norm_backward(
          $0, $1[0], $1[1], n, span, v[0].base, recomputes ? v[1].base : nil, recomputes ? v[2].base : nil, v[1].base,
          v[2].base, v[3].base, $1[0])
      } _: {
        tamring_norm_backward_generic(
          $0, $1[0], $1[1], n, span, v[0].base, recomputes ? v[1].base : nil, recomputes ? v[2].base : nil, v[1].base,
          v[2].base, v[3].base, $1[0])
      }
    }
    check("accumulate", [x, g]) {
      tamring_accumulate($0, $1[0], n, $1[1])
    } _: {
      tamring_accumulate_generic($0, $1[0], n, $1[1])
    }
  }

  @Test("the temporal module", arguments: [1, 5, 16, 48], [1, 3, 4])
  func temporal(_ channels: Int, _ taps: Int) {
    let span = tamring_span(Int64(channels))
    let (frames, pixels) = (4, 131)
    let weights = randomNumbers(taps * Int(span), seed: 2)
    for (paired, split) in [(false, false), (false, true), (true, true)] {
      var shape = tamring_temporal_shape(
        frames: Int64(frames), taps: Int64(taps), frame_size: Int64(pixels * channels), span: span, begin: 0,
        end: Int64(pixels * channels), paired: paired, split: split)
      let count = 2 * frames * pixels * channels
      let src = randomNumbers(paired ? count / 2 : count, seed: 1)
      let results = [randomNumbers(count, seed: 3), randomNumbers(count, seed: 4)]
      let gradients = [randomNumbers(count, seed: 5), randomNumbers(count, seed: 6)]
      check("temporal_forward", [src] + results) {
        tamring_temporal_forward($0, &shape, 2, $1[0], weights.base, $1[1], $1[2])
      } _: {
        tamring_temporal_forward_generic($0, &shape, 2, $1[0], weights.base, $1[1], $1[2])
      }
      let sums = FloatStorage(count: 2 * taps * Int(span))
      for accumulate in [false, true] {
        check("temporal_backward", [src] + results + gradients + [src], [sums]) {
          tamring_temporal_backward(
            $0, &shape, 2, $1[0], weights.base, $1[1], $1[2], $1[3], $1[4], accumulate, $1[5], $1.doubles(0))
        } _: {
          tamring_temporal_backward_generic(
            $0, &shape, 2, $1[0], weights.base, $1[1], $1[2], $1[3], $1[4], accumulate, $1[5], $1.doubles(0))
        }
      }
    }
  }

  @Test(
    "results too many for the caches, which are written past them, are those of small pieces", arguments: [false, true])
  func streaming(_ bf16: Bool) {
    let bytes = 8 << 20
    let size = bytes / (bf16 ? 2 : 4)
    let count = 3 * size
    func numbers(_ seed: UInt64) -> AlignedStorage<UInt16> {
      Memory(bf16, [randomNumbers(count, seed: seed)], []).activations[0]
    }
    func place(_ storage: AlignedStorage<UInt16>, _ piece: Int) -> UnsafeMutableRawPointer {
      UnsafeMutableRawPointer(storage.base) + piece * bytes
    }
    let x = numbers(1)
    let (whole, pieces) = (AlignedStorage<UInt16>(count: x.count), AlignedStorage<UInt16>(count: x.count))
    let v = (0..<3).map { randomNumbers(64, seed: UInt64(2 + $0)) }
    func norm(_ sizes: Int, _ piece: Int, _ dst: AlignedStorage<UInt16>) {
      tamring_norm_forward(
        bf16, place(x, piece), Int64(sizes * size), 64, v[0].base, v[1].base, v[2].base, nil, nil, true,
        place(dst, piece))
    }
    var shape = tamring_temporal_shape(
      frames: 4, taps: 3, frame_size: Int64(size / 4), span: 64, begin: 0, end: Int64(size / 4), paired: false,
      split: false)
    let weights = randomNumbers(3 * 64, seed: 5)
    let (results, gradients) = (numbers(6), numbers(7))
    let sums = FloatStorage(count: 2 * 3 * 64)
    func forward(_ clips: Int, _ at: Int, _ dst: AlignedStorage<UInt16>) {
      tamring_temporal_forward(
        bf16, &shape, Int64(clips), place(x, at), weights.base, place(dst, at), place(dst, at))
    }
    func backward(_ clips: Int, _ at: Int, _ dst: AlignedStorage<UInt16>) {
      let sums = UnsafeMutableRawPointer(sums.base).assumingMemoryBound(to: Double.self)
      tamring_temporal_backward(
        bf16, &shape, Int64(clips), place(x, at), weights.base, place(results, at), place(results, at),
        place(gradients, at), place(gradients, at), false, place(dst, at), sums)
    }
    for pass in [norm, forward, backward] {
      pass(3, 0, whole)
      for piece in 0..<3 { pass(1, piece, pieces) }
      #expect(whole.bytes.elementsEqual(pieces.bytes))
    }
  }

  @Test("pooling and enlarging", arguments: [1, 3, 16, 19, 130])
  func windows(_ channels: Int) {
    var window = tamring_window(
      height: 7, width: 5, channels: Int64(channels), kernel: 3, stride: 2, padding: 1, out_height: 4, out_width: 3)
    let images: Int64 = 3
    let (small, large) = (3 * 12 * channels, 3 * 35 * channels)
    let (src, d) = (randomNumbers(large, seed: 1), randomNumbers(small, seed: 2))
    check("average_pool", [src, d]) {
      tamring_average_pool($0, &window, images, $1[0], $1[1])
    } _: {
      tamring_average_pool_generic($0, &window, images, $1[0], $1[1])
    }
    var sizes = tamring_window(
      height: 4, width: 3, channels: Int64(channels), kernel: 1, stride: 1, padding: 0, out_height: 7, out_width: 5)
    let v = (0..<3).map { randomNumbers(Int(tamring_span(Int64(channels))), seed: UInt64(3 + $0)) }
    let (n, span) = (Int64(large), tamring_span(Int64(channels)))
    check("norm_forward, enlarged residual", [src, d, FloatStorage(count: large)]) {
      tamring_norm_forward($0, $1[0], n, span, v[0].base, v[1].base, v[2].base, $1[1], &sizes, true, $1[2])
    } _: {
      tamring_norm_forward_generic($0, $1[0], n, span, v[0].base, v[1].base, v[2].base, $1[1], &sizes, true, $1[2])
    }
    for accumulate in [false, true] {
      check("average_pool_gradient", [d, src]) {
        tamring_average_pool_gradient($0, &window, images, $1[0], accumulate, $1[1])
      } _: {
        tamring_average_pool_gradient_generic($0, &window, images, $1[0], accumulate, $1[1])
      }
      check("enlarge_gradient", [src, d]) {
        tamring_enlarge_gradient($0, &sizes, images, $1[0], accumulate, $1[1])
      } _: {
        tamring_enlarge_gradient_generic($0, &sizes, images, $1[0], accumulate, $1[1])
      }
    }
  }

  @Test("max pooling and subsampling", arguments: [1, 3, 16, 19, 130])
  func maxima(_ channels: Int) {
    var window = tamring_window(
      height: 7, width: 5, channels: Int64(channels), kernel: 3, stride: 2, padding: 1, out_height: 4, out_width: 3)
    let (small, large) = (3 * 12 * channels, 3 * 35 * channels)
    let (src, d, dst) = (
      randomNumbers(large, seed: 1), randomNumbers(small, seed: 2), FloatStorage(count: small)
    )
    check("max_pool", [src, d]) {
      tamring_max_pool($0, &window, 3, $1[0], $1[1])
    } _: {
      tamring_max_pool_generic($0, &window, 3, $1[0], $1[1])
    }
    for accumulate in [false, true] {
      check("max_pool_gradient", [src, dst, d, randomNumbers(large, seed: 3)]) {
        tamring_max_pool($0, &window, 3, $1[0], $1[1])
        tamring_max_pool_gradient($0, &window, 3, $1[0], $1[1], $1[2], accumulate, $1[3])
      } _: {
        tamring_max_pool_generic($0, &window, 3, $1[0], $1[1])
        tamring_max_pool_gradient_generic($0, &window, 3, $1[0], $1[1], $1[2], accumulate, $1[3])
      }
    }
    window = tamring_window(
      height: 7, width: 5, channels: Int64(channels), kernel: 1, stride: 2, padding: 0, out_height: 4, out_width: 3)
    check("subsample", [src, d]) {
      tamring_subsample($0, &window, $1[0], $1[1])
    } _: {
      tamring_subsample_generic($0, &window, $1[0], $1[1])
    }
    for accumulate in [false, true] {
      check("subsample_gradient", [d, src]) {
        tamring_subsample_gradient($0, &window, $1[0], accumulate, $1[1])
      } _: {
        tamring_subsample_gradient_generic($0, &window, $1[0], accumulate, $1[1])
      }
    }
  }

  @Test("of equal maxima the first gets the gradient, and a NaN is a maximum")
  func ties() {
    var window = tamring_window(
      height: 4, width: 4, channels: 1, kernel: 3, stride: 2, padding: 1, out_height: 2, out_width: 2)
    // Windows cover rows and columns 0..1 and 1..3.
    let src = FloatStorage([1, 1, 5, 5, 1, 1, 2, 5, 3, 7, 7, 4, 3, 7, 4, 4])
    let (dst, d, dSrc) = (FloatStorage(count: 4), FloatStorage([1, 2, 4, 8]), FloatStorage(count: 16))
    tamring_max_pool(false, &window, 1, src.base, dst.base)
    #expect(dst.array == [1, 5, 7, 7])
    tamring_max_pool_gradient(false, &window, 1, src.base, dst.base, d.base, false, dSrc.base)
    #expect(dSrc.array == [1, 0, 2, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0])
    src[5] = .nan
    tamring_max_pool(false, &window, 1, src.base, dst.base)
    #expect(dst.array.allSatisfy { $0.isNaN })

    var shape = tamring_frame_pool_shape(frames: 5, frame_size: 1, begin: 0, end: 1)
    let (frames, most, g, dFrames) = (
      FloatStorage([2, 2, 1, 3, 3]), FloatStorage(count: 3), FloatStorage([1, 2, 4]), FloatStorage(count: 5)
    )
    tamring_frame_max(false, &shape, 1, frames.base, most.base)
    #expect(most.array == [2, 3, 3])
    tamring_frame_max_gradient(false, &shape, 1, frames.base, most.base, g.base, false, dFrames.base)
    #expect(dFrames.array == [1, 0, 0, 6, 0])
    frames[1] = .nan
    tamring_frame_max(false, &shape, 1, frames.base, most.base)
    #expect(most[0].isNaN && most[1].isNaN && most[2] == 3)
  }

  @Test("neighbouring frames: shifts, pools and stacks", arguments: [1, 5, 16, 48])
  func frames(_ channels: Int) {
    let (frames, pixels, clips) = (4, 33, Int64(2))
    let size = pixels * channels
    let count = 2 * frames * size
    let (src, other) = (randomNumbers(count, seed: 1), randomNumbers(count, seed: 2))
    let results = [randomNumbers(count, seed: 3), randomNumbers(count, seed: 4)]
    for (paired, split) in [(false, false), (false, true), (true, true)] {
      var shape = tamring_shift_shape(
        frames: Int64(frames), frame_size: Int64(size), channels: Int64(channels), fold: Int64((channels + 2) / 3),
        begin: 1, end: Int64(pixels), paired: paired, split: split)
      check("temporal_shift", [src] + results) {
        tamring_temporal_shift($0, &shape, clips, $1[0], $1[1], $1[2])
      } _: {
        tamring_temporal_shift_generic($0, &shape, clips, $1[0], $1[1], $1[2])
      }
      for accumulate in [false, true] {
        check("temporal_shift_gradient", [src] + results) {
          tamring_temporal_shift_gradient($0, &shape, clips, $1[1], $1[2], accumulate, $1[0])
        } _: {
          tamring_temporal_shift_gradient_generic($0, &shape, clips, $1[1], $1[2], accumulate, $1[0])
        }
      }
    }
    for pooled in [3, 4] {
      var shape = tamring_frame_pool_shape(
        frames: Int64(pooled), frame_size: Int64(size), begin: 1, end: Int64(size))
      check("frame_max", [src, results[0]]) {
        tamring_frame_max($0, &shape, clips, $1[0], $1[1])
      } _: {
        tamring_frame_max_generic($0, &shape, clips, $1[0], $1[1])
      }
      check("frame_mean", [src, results[0]]) {
        tamring_frame_mean($0, &shape, clips, $1[0], $1[1])
      } _: {
        tamring_frame_mean_generic($0, &shape, clips, $1[0], $1[1])
      }
      for accumulate in [false, true] {
        check("frame_max_gradient", [src, results[0], results[1], other]) {
          tamring_frame_max($0, &shape, clips, $1[0], $1[1])
          tamring_frame_max_gradient($0, &shape, clips, $1[0], $1[1], $1[2], accumulate, $1[3])
        } _: {
          tamring_frame_max_generic($0, &shape, clips, $1[0], $1[1])
          tamring_frame_max_gradient_generic($0, &shape, clips, $1[0], $1[1], $1[2], accumulate, $1[3])
        }
        check("frame_mean_gradient", [results[0], other]) {
          tamring_frame_mean_gradient($0, &shape, clips, $1[0], accumulate, $1[1])
        } _: {
          tamring_frame_mean_gradient_generic($0, &shape, clips, $1[0], accumulate, $1[1])
        }
      }
    }
    let n = Int64(size)
    let stack = randomNumbers(3 * size, seed: 6)
    for missing in 0...3 {
      check("stack_frames", [src, other, results[0], stack]) {
        tamring_stack_frames(
          $0, n, missing == 0 ? nil : $1[0], missing == 1 ? nil : $1[1], missing == 2 ? nil : $1[2], $1[3])
      } _: {
        tamring_stack_frames_generic(
          $0, n, missing == 0 ? nil : $1[0], missing == 1 ? nil : $1[1], missing == 2 ? nil : $1[2], $1[3])
      }
      for accumulate in [false, true] {
        check("stack_frames_gradient", [stack, stack, stack, src]) {
          tamring_stack_frames_gradient(
            $0, n, missing == 0 ? nil : $1[0], missing == 1 ? nil : $1[1], missing == 2 ? nil : $1[2], accumulate,
            $1[3])
        } _: {
          tamring_stack_frames_gradient_generic(
            $0, n, missing == 0 ? nil : $1[0], missing == 1 ? nil : $1[1], missing == 2 ? nil : $1[2], accumulate,
            $1[3])
        }
      }
    }
  }

  @Test("Winograd's transforms", arguments: [1, 2], [false, true])
  func winograd(_ stride: Int64, _ back: Bool) {
    let size: (Int64, Int64) = stride == 1 ? (7, 5) : (13, 9)
    var window = tamring_window(
      height: size.0, width: size.1, channels: 16, kernel: 3, stride: stride, padding: 1, out_height: 7, out_width: 5)
    // Two images of two by two tiles.
    let images = randomNumbers(2 * 13 * 9 * 16, seed: 1)
    let points = randomNumbers(((stride == 1 ? 36 : 81) * 8 + 36) * 16 + 36 * 16, seed: 2)
    check("winograd_inputs", [images], [points]) {
      tamring_winograd_inputs($0, &window, back, $1[0], 0, 8, $1.floats[0].base)
    } _: {
      tamring_winograd_inputs_generic($0, &window, back, $1[0], 0, 8, $1.floats[0].base)
    }
    check("winograd_gradients", [images], [points]) {
      tamring_winograd_gradients($0, &window, $1[0], 0, 8, $1.floats[0].base)
    } _: {
      tamring_winograd_gradients_generic($0, &window, $1[0], 0, 8, $1.floats[0].base)
    }
    for accumulate in [false, true] {
      check("winograd_outputs", [images]) {
        tamring_winograd_outputs($0, &window, back, points.base, 0, 8, 0, 16, accumulate, nil, $1[0])
      } _: {
        tamring_winograd_outputs_generic($0, &window, back, points.base, 0, 8, 0, 16, accumulate, nil, $1[0])
      }
      var epilogue = tamring_epilogue(scale: points.base, shift: points.base + 16, adds: accumulate, relu: accumulate)
      check("winograd_outputs, with an epilogue", [images]) {
        tamring_winograd_outputs($0, &window, back, points.base, 0, 8, 0, 16, accumulate, &epilogue, $1[0])
      } _: {
        tamring_winograd_outputs_generic($0, &window, back, points.base, 0, 8, 0, 16, accumulate, &epilogue, $1[0])
      }
    }
  }

  @Test("the head's sums", arguments: [1, 19, 64])
  func head(_ channels: Int) {
    let pixels = 7
    let shares = randomNumbers(channels, seed: 1)
    let (features, sums) = (randomNumbers(pixels * channels, seed: 2), randomNumbers(channels, seed: 3))
    check("gather_pixels", [features], [sums]) {
      tamring_gather_pixels($0, $1[0], Int64(pixels), Int64(channels), shares.base, $1.floats[0].base)
    } _: {
      tamring_gather_pixels_generic($0, $1[0], Int64(pixels), Int64(channels), shares.base, $1.floats[0].base)
    }
    check("spread_pixels", [features]) {
      tamring_spread_pixels($0, sums.base, Int64(pixels), Int64(channels), shares.base, $1[0])
    } _: {
      tamring_spread_pixels_generic($0, sums.base, Int64(pixels), Int64(channels), shares.base, $1[0])
    }
  }
}
