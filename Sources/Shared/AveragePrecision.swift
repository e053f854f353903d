// How well scores find the clips of a class, in integers, so that it has the same digits however it is computed.

/// Average precision, in units of 2^-32.
///
/// AP = Σ_n (R_n − R_{n−1}) · P_n over the different scores, from the highest down: R_n is the part of the class's
/// clips with at least that score, P_n the part of the clips with at least that score that are of the class. So clips
/// with equal scores are found together, and nothing is interpolated. Each product is rounded to a unit. A clip whose
/// score is not a number is never found.
///
/// **Source:** scikit-learn's `average_precision_score`.
public enum AveragePrecision {
  /// 1 in units.
  public static let one: Int64 = 1 << 32

  public static func fraction(_ units: Int64) -> Double { Double(units) / Double(one) }
  public static func percent(_ units: Int64) -> Double { 100 * fraction(units) }

  /// Of a class; nil where no clip has it.
  /// - Parameters:
  ///   - scores: of each clip for the class.
  ///   - isOfClass: whether each clip has it.
  public static func ofClass(_ scores: [Float], _ isOfClass: [Bool]) -> Int64? {
    let own = zip(scores, isOfClass).filter(\.1).map(\.0)
    guard !own.isEmpty else { return nil }
    // The precision counts only at scores of the class's own clips.
    let levels = Set(own.filter { !$0.isNaN }).sorted(by: >)
    var found = [(clips: Int, own: Int)](repeating: (0, 0), count: levels.count)
    for (score, isOwn) in zip(scores, isOfClass) {
      // The first level that the score reaches.
      var (low, high) = (0, levels.count)
      while low < high {
        let middle = (low + high) / 2
        if score >= levels[middle] { high = middle } else { low = middle + 1 }
      }
      guard low < levels.count else { continue }
      found[low].clips += 1
      if isOwn { found[low].own += 1 }
    }
    var (clips, right, sum): (Int128, Int128, Int128) = (0, 0, 0)
    for level in found {
      clips += Int128(level.clips)
      right += Int128(level.own)
      sum += rounded(Int128(level.own) * right * Int128(one), by: clips)
    }
    return Int64(rounded(sum, by: Int128(own.count)))
  }

  /// Of each class; nil where no clip has it.
  /// - Parameters:
  ///   - scores: of each clip, one for each class.
  ///   - labels: the classes of each clip.
  public static func ofClasses(_ scores: [[Float]], _ labels: [[Int]]) -> [Int64?] {
    (0..<(scores.first?.count ?? 0)).map { c in
      ofClass(scores.map { $0[c] }, labels.map { $0.contains(c) })
    }
  }

  /// Over the classes that clips have; 0 without any.
  public static func mean(_ classes: [Int64?]) -> Int64 {
    let counted = classes.compactMap(\.self)
    guard !counted.isEmpty else { return 0 }
    return Int64(rounded(counted.reduce(0) { $0 + Int128($1) }, by: Int128(counted.count)))
  }

  private static func rounded(_ value: Int128, by divisor: Int128) -> Int128 { (value + divisor / 2) / divisor }
}
