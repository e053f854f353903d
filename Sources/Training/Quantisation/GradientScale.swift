// The powers of two that gradients are divided by before they are rounded to integers.
import CKernels
import Shared

/// The rules for a tensor's scale 2^exponent. Every rank must compute the same exponents, so nothing here rounds twice
/// or calls the C library's logarithm.
public enum GradientScale {
  /// The exponent of a tensor without history.
  public static let initialExponent: Int32 = -24

  /// `round(log2(max(R, 2^-30))) − gradientBits`.
  /// - Parameter rootMeanSquare: R, the RMS of the last committed step's sum, rescaled to the next step's full batch;
  ///   nil without history.
  public static func exponent(rootMeanSquare: Double?, gradientBits: Int) -> Int32 {
    guard let rootMeanSquare else { return initialExponent }
    precondition(rootMeanSquare.isFinite && rootMeanSquare >= 0, "an RMS of \(rootMeanSquare)")
    let floored = max(rootMeanSquare, 0x1p-30)
    // The smallest double above √2: from there on, a significand is nearer to the next power of two.
    let up = floored.significand >= 0x1.6a09e667f3bcdp0
    return Int32(Int(floored.exponent) + (up ? 1 : 0) - gradientBits)
  }

  /// `⌊(2^31 − 1) / V⌋ − 1`: the largest |g / scale| of a lane, so that V lanes cannot wrap an Int32.
  public static func overflowLimit(lanes: Int) -> Int {
    precondition(lanes > 0 && lanes < 1 << 29, "\(lanes) lanes")
    return Int(Int32.max) / lanes - 1
  }

  /// The smallest exponent e with `largest / 2^e ≤ limit`.
  /// - Parameter largest: the largest magnitude of a lane's gradient; finite, above 0.
  public static func sufficientExponent(largest: Float, limit: Int) -> Int32 {
    precondition(largest.isFinite && largest > 0 && limit > 0, "no exponent for \(largest) within \(limit)")
    let value = Double(largest)
    let bound = Double(limit)
    var exponent = Int(value.exponent) - Int(bound.exponent) - 1
    while value * power(-exponent) > bound { exponent += 1 }
    return Int32(exponent)
  }

  /// The RMS of a tensor's reduced sum, rescaled to a full batch; 0 for an empty tensor.
  /// - Parameters:
  ///   - range: the tensor's elements in `sum`.
  ///   - exponent: the exponent that the sum was quantised with.
  ///   - fullClips: clips of the next step, if it is full; `clips`: those of this one.
  public static func rootMeanSquare(
    of sum: AlignedStorage<Int32>, _ range: Range<Int>, exponent: Int32, fullClips: Int, clips: Int
  ) -> Double {
    precondition(range.lowerBound >= 0 && range.upperBound <= sum.count, "range \(range) of \(sum.count)")
    precondition(clips > 0 && fullClips > 0, "\(clips) of \(fullClips) clips")
    guard !range.isEmpty else { return 0 }
    let integers = (squares(of: sum, range) / Double(range.count)).squareRoot()
    return integers * power(Int(exponent)) * (Double(fullClips) / Double(clips))
  }

  /// The sum of the squares of integers, in a fixed order.
  static func squares(of sum: AlignedStorage<Int32>, _ range: Range<Int>) -> Double {
    precondition(range.lowerBound >= 0 && range.upperBound <= sum.count, "range \(range) of \(sum.count)")
    return unsafe tamring_ring_sum_squares(sum.base + range.lowerBound, range.count)
  }

  /// A tensor's exponent in the next step.
  /// - Parameters:
  ///   - range: the tensor's elements in `sum`; `quantised`: what they were quantised with.
  ///   - fullClips: clips of the next step, if it is full; `clips`: those of this one.
  public static func exponent(
    after sum: AlignedStorage<Int32>, _ range: Range<Int>, quantised: Int32, fullClips: Int, clips: Int,
    gradientBits: Int
  ) -> Int32 {
    let root = rootMeanSquare(of: sum, range, exponent: quantised, fullClips: fullClips, clips: clips)
    return exponent(rootMeanSquare: root, gradientBits: gradientBits)
  }

  /// 2^exponent, exactly.
  public static func power(_ exponent: Int) -> Double { Double(sign: .plus, exponent: exponent, significand: 1) }
}

/// Statistics travel as fixed point with 32 fractional bits.
public enum FixedPoint {
  /// `value·weight·2^32`, rounded to the nearest integer, ties to even; nil if it is not finite or if V such values
  /// could leave an Int64.
  public static func encode(_ value: Double, weight: Int, lanes: Int) -> Int64? {
    precondition(lanes > 0, "\(lanes) lanes")
    let scaled = (value * Double(weight) * 0x1p32).rounded(.toNearestOrEven)
    guard scaled.magnitude < 0x1p63 / Double(lanes) else { return nil }
    return Int64(scaled)
  }

  /// Converts a sum back to a number.
  public static func decode(_ sum: Int64) -> Double { Double(sum) * 0x1p-32 }
}
