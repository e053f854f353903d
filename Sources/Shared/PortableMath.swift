// Transcendental functions from correctly rounded operations only. Those of the C library differ between versions and
// CPUs, and these values reach the weights.

/// exp, log and cos in double precision, the same bits on every machine; accurate to a few units in the last place.
///
/// The loops count in integers, because a stride of doubles calls the C library's `fma` in each iteration.
public enum PortableMath {
  private static let ln2High = 0x1.62e42fefa38p-1
  private static let ln2Low = 0x1.ef35793c7673p-45

  /// e^x; 0 below -700, infinity above 709.
  public static func exp(_ x: Double) -> Double {
    if x.isNaN { return x }
    if x < -700 { return 0 }
    if x > 709 { return .infinity }
    let k = (x * 0x1.71547652b82fep0).rounded(.toNearestOrEven)
    let r = (x - k * ln2High) - k * ln2Low
    // Taylor series. |r| <= 0.35, so the 15th term is below 1e-18.
    var sum = 1.0
    for n in stride(from: 14, through: 1, by: -1) { sum = 1 + r / Double(n) * sum }
    return Double(sign: .plus, exponent: Int(k), significand: sum)
  }

  /// The natural logarithm of a positive normal number.
  public static func log(_ x: Double) -> Double {
    precondition(x.isNormal && x > 0, "the logarithm of \(x)")
    var exponent = Double(x.exponent)
    var m = x.significand
    if m > 1.4142135623730951 {
      m /= 2
      exponent += 1
    }
    // log m = 2 artanh((m - 1) / (m + 1)), whose argument is at most 0.172.
    let z = (m - 1) / (m + 1)
    let square = z * z
    var sum = 0.0
    for n in stride(from: 23, through: 3, by: -2) { sum = (sum + 1 / Double(n)) * square }
    return exponent * ln2High + (exponent * ln2Low + 2 * z * (1 + sum))
  }

  /// cos(pi * x) for x in 0...1.
  public static func cosPi(_ x: Double) -> Double {
    precondition(x >= 0 && x <= 1, "\(x) is outside 0...1")
    if x > 0.5 { return -cosPi(1 - x) }
    // Expand around the nearer of 0 and 1/2, so that the series stays short and the zero is exact.
    let fromTop = x <= 0.25
    let angle = (fromTop ? x : 0.5 - x) * Double.pi
    let square = angle * angle
    var sum = 1.0
    let last = fromTop ? 18 : 19
    for n in stride(from: last, through: 2, by: -2) { sum = 1 - square / Double(n * (n - 1)) * sum }
    return fromTop ? sum : angle * sum
  }
}
