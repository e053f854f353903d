import Foundation
import Ring
import Shared
import Testing

@testable import Training

@Suite struct QuantiserTests {
  /// Made by Fixtures/make_quantised_sums.py with numpy and unbounded integers.
  private struct Fixture: Decodable {
    struct Tensor: Decodable {
      let exponent: Int32
      /// Float bit patterns, lane by lane.
      let gradients: [[UInt32]]
      let sums: [Int32]
    }

    struct Case: Decodable {
      let seed: UInt64
      let step: UInt64
      let tensors: [Tensor]
    }

    let lanes: Int
    let cases: [Case]
  }

  @Test("sums over lanes equal numpy's, whoever adds which lane and in whichever order")
  func numpy() async throws {
    let url = try #require(
      Bundle.module.url(forResource: "quantised_sums", withExtension: "json", subdirectory: "Fixtures"))
    let fixture = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
    for example in fixture.cases {
      let accumulator = GradientAccumulator(
        tensorCounts: example.tensors.map(\.sums.count), statisticCount: 0, laneCount: fixture.lanes)
      let attempt = GradientAccumulator.Attempt(
        seed: example.seed, step: example.step, exponents: example.tensors.map(\.exponent))
      await withTaskGroup { group in
        for lane in (0..<fixture.lanes).reversed() {
          group.addTask {
            for (tensor, values) in example.tensors.enumerated() {
              let gradient = FloatStorage(values.gradients[lane].map(Float.init(bitPattern:)))
              accumulator.add(tensor: tensor, lane: lane, gradient: gradient, in: attempt)
            }
          }
        }
      }
      for (tensor, values) in example.tensors.enumerated() {
        #expect(accumulator.partial.gradients.array(accumulator.range(tensor: tensor)) == values.sums)
      }
      #expect(accumulator.raised.isEmpty && accumulator.nonFinite.isEmpty)
    }
  }

  @Test("rounding is unbiased, and every lane, tensor, step and seed has its own noise")
  func unbiased() {
    let count = 100_000
    let gradient = FloatStorage(count: count)
    for i in 0..<count { gradient[i] = 0.3 }
    func sum(seed: UInt64 = 1, step: UInt64 = 1, lane: Int = 0, tensor: Int = 0) -> [Int32] {
      let accumulator = GradientAccumulator(tensorCounts: [count, count], statisticCount: 0, laneCount: 4)
      let attempt = GradientAccumulator.Attempt(seed: seed, step: step, exponents: [0, 0])
      accumulator.add(tensor: tensor, lane: lane, gradient: gradient, in: attempt)
      return accumulator.partial.gradients.array(accumulator.range(tensor: tensor))
    }
    let first = sum()
    let mean = Double(first.reduce(0, +)) / Double(count)
    // Five standard errors of a coin with chance 0.3.
    #expect(abs(mean - 0.3) < 5 * (0.21 / Double(count)).squareRoot())
    #expect(sum() == first)
    for other in [sum(seed: 2), sum(step: 2), sum(step: 1 + 1 << 32), sum(lane: 1), sum(tensor: 1)] {
      #expect(other != first)
    }
  }

  @Test("an element beyond the limit adds nothing and asks for the smallest sufficient exponent")
  func overflow() {
    let limit = GradientScale.overflowLimit(lanes: 8)
    #expect(limit == 268_435_454)
    let accumulator = GradientAccumulator(tensorCounts: [3, 3], statisticCount: 1, laneCount: 8)
    let attempt = GradientAccumulator.Attempt(seed: 1, step: 1, exponents: [0, 0])
    let inside = Float(268_435_424)
    accumulator.add(tensor: 0, lane: 0, gradient: FloatStorage([inside, -inside, 0]), in: attempt)
    #expect(accumulator.raised.isEmpty)
    #expect(accumulator.partial.gradients.array(0..<3) == [268_435_424, -268_435_424, 0])
    accumulator.add(tensor: 0, lane: 1, gradient: FloatStorage([1e12, -3e10, 5]), in: attempt)
    accumulator.add(tensor: 0, lane: 2, gradient: FloatStorage([268_435_456, 0, 0]), in: attempt)
    #expect(accumulator.raised == [RaisedExponent(tensor: 0, exponent: 12)])
    #expect(accumulator.partial.gradients.array(0..<3) == [268_435_424, -268_435_424, 5])
    accumulator.add(tensor: 1, lane: 6, gradient: FloatStorage([.nan, 1, 0]), in: attempt)
    accumulator.add(tensor: 1, lane: 5, gradient: FloatStorage([-.infinity, 1, 0]), in: attempt)
    accumulator.addStatistics([nil], at: 0, lane: 2)
    #expect(
      accumulator.nonFinite == [
        NonFiniteGradient(tensor: 1, lane: 5), NonFiniteGradient(tensor: 1, lane: 6),
        NonFiniteGradient(tensor: .max, lane: 2),
      ])
    #expect(accumulator.partial.gradients.array(3..<6) == [0, 2, 0])
    accumulator.reset()
    #expect(accumulator.raised.isEmpty && accumulator.nonFinite.isEmpty)
    // What was there does not count: the first lane writes, the second adds, and without lanes all is zero.
    for lane in [0, 1] {
      accumulator.add(tensor: 0, lane: lane, gradient: FloatStorage([inside, 0, 1]), in: attempt)
    }
    #expect(accumulator.partial.gradients.array(0..<3) == [2 * 268_435_424, 0, 2])
    accumulator.reset()
    accumulator.expect(lanes: 0)
    #expect(accumulator.partial.gradients.array == [0, 0, 0, 0, 0, 0])
  }

  @Test("V lanes at the limit fit into an Int32")
  func limits() {
    for lanes in [1, 2, 3, 7, 8, 100, 4096] {
      let limit = GradientScale.overflowLimit(lanes: lanes)
      #expect(lanes * (limit + 1) <= Int(Int32.max))
      #expect(lanes * (limit + 2) > Int(Int32.max))
    }
  }

  @Test("the sufficient exponent suffices, and one less does not")
  func sufficient() {
    var random = Philox(seed: 9, .selfTest)
    for _ in 0..<2000 {
      let largest = Float(1 + random.unit()) * Float(GradientScale.power(random.below(200) - 100))
      let limit = GradientScale.overflowLimit(lanes: 1 + random.below(64))
      let exponent = Int(GradientScale.sufficientExponent(largest: largest, limit: limit))
      #expect(Double(largest) * GradientScale.power(-exponent) <= Double(limit))
      #expect(Double(largest) * GradientScale.power(1 - exponent) > Double(limit))
    }
    #expect(GradientScale.sufficientExponent(largest: 8, limit: 8) == 0)
    #expect(GradientScale.sufficientExponent(largest: 9, limit: 8) == 1)
  }

  @Test("the exponent is the nearest power of two, ten bits below the RMS")
  func exponents() {
    #expect(GradientScale.exponent(rootMeanSquare: nil, gradientBits: 10) == -24)
    #expect(GradientScale.exponent(rootMeanSquare: 0, gradientBits: 10) == -40)
    #expect(GradientScale.exponent(rootMeanSquare: 1, gradientBits: 10) == -10)
    let root = 2.0.squareRoot()
    #expect(GradientScale.exponent(rootMeanSquare: root, gradientBits: 10) == -9)
    #expect(GradientScale.exponent(rootMeanSquare: root.nextDown, gradientBits: 10) == -10)
    #expect(GradientScale.exponent(rootMeanSquare: root.nextDown / 1024, gradientBits: 12) == -22)
    let sum = AlignedStorage<Int32>([7, 3, -4, 5, 0])
    let rms = GradientScale.rootMeanSquare(of: sum, 1..<3, exponent: -2, fullClips: 8, clips: 4)
    #expect(rms == 12.5.squareRoot() * 0.5)
    #expect(GradientScale.rootMeanSquare(of: sum, 2..<2, exponent: 0, fullClips: 1, clips: 1) == 0)
  }

  @Test("fixed point rounds to even and refuses what could wrap")
  func fixedPoint() {
    #expect(FixedPoint.encode(1.5, weight: 2, lanes: 8) == 3 << 32)
    #expect(FixedPoint.encode(0x1p-33, weight: 1, lanes: 8) == 0)
    #expect(FixedPoint.encode(0x3p-33, weight: 1, lanes: 8) == 2)
    #expect(FixedPoint.encode(0x1p28, weight: 1, lanes: 8) == nil)
    #expect(FixedPoint.encode(-0x1p28, weight: 1, lanes: 8) == nil)
    #expect(FixedPoint.encode((0x1p28).nextDown, weight: 1, lanes: 8) != nil)
    #expect(FixedPoint.encode(.nan, weight: 1, lanes: 8) == nil)
    #expect(FixedPoint.encode(-.infinity, weight: 1, lanes: 8) == nil)
    #expect(FixedPoint.decode(3 << 31) == 1.5)
  }
}
