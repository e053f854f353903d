// Batch-norm statistics of many clips, measured with fixed weights in groups.
import BLVNet
import Shared

/// Over groups B of clips: mean = E[mean_B], variance = E[mean_B² + variance_B] − mean², E weighted by clips. Each
/// group is normalised with its own statistics, as in training. The sums are integers in units of 2^-32, so that no
/// order of adding changes them.
///
/// **Source:** Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3 (precise batch norm).
public enum PreciseNorms {
  /// What a group adds: of each mean, and of each variance the mean square.
  /// - Parameters:
  ///   - moments: in the order of `layout.statistics`.
  ///   - groups: at least as many as are added up.
  /// - Returns: nil where a number is not finite, or too large.
  public static func sums(_ moments: FloatStorage, _ layout: StateLayout, clips: Int, groups: Int) -> [Int64]? {
    var values = moments.array.map(Double.init)
    for (mean, variance) in pairs(layout) {
      for (m, v) in zip(mean, variance) { values[v] += values[m] * values[m] }
    }
    let sums = values.compactMap { FixedPoint.encode($0, weight: clips, lanes: groups) }
    return sums.count == values.count ? sums : nil
  }

  /// The statistics that the sums over all groups stand for. Frozen batch norms keep their running ones.
  /// - Returns: nil where the sums are of another network.
  public static func statistics(
    _ sums: [Int64], clips: Int, _ layout: StateLayout, running: FloatStorage
  ) -> FloatStorage? {
    guard sums.count == running.count, clips > 0 else { return nil }
    let result = FloatStorage(count: running.count)
    result.copy(from: running)
    for (mean, variance) in pairs(layout) {
      for (m, v) in zip(mean, variance) {
        let (first, second) = (FixedPoint.decode(sums[m]) / Double(clips), FixedPoint.decode(sums[v]) / Double(clips))
        result[m] = Float(first)
        result[v] = Float(max(0, second - first * first))
      }
    }
    return result
  }

  /// Where each batch norm's means and variances are; without frozen ones.
  private static func pairs(_ layout: StateLayout) -> [(mean: Range<Int>, variance: Range<Int>)] {
    let (mean, variance) = ("running_mean", "running_var")
    let known = Dictionary(layout.statistics.map { ($0.name, $0) }) { first, _ in first }
    return layout.statistics.filter { $0.name.hasSuffix(mean) && !$0.isFrozen }.compactMap { tensor in
      known[tensor.name.dropLast(mean.count) + variance].map { (tensor.range, $0.range) }
    }
  }
}
