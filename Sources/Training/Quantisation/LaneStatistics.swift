// The Int64 vector that travels beside the gradients: batch-norm statistics, loss and counts of the lanes.
import BLVNet
import Ring
import Shared

/// The vector's layout: the clip-weighted statistics of every batch norm, the loss, the correct clips, and the clips;
/// and the sum of the clips' weights, if classes have weights.
public enum LaneStatistics {
  /// Entries after the batch-norm statistics.
  public static func extra(isWeighted: Bool = false) -> Int { isWeighted ? 5 : 4 }

  public struct Tally {
    /// Sum over the clips, in units of 2^-32.
    public let fixedLoss: Int64
    public let top1: Int
    public let top5: Int
    public let clips: Int
    /// What the gradient is divided by: the sum of the clips' weights, or the clips.
    public let divisor: Double

    /// Mean over the clips.
    public var loss: Double { clips == 0 ? 0 : FixedPoint.decode(fixedLoss) / Double(clips) }
  }

  /// A lane's contribution; nil entries could not be represented.
  public static func entries(_ result: LaneResult, clips: Int, lanes: Int, isWeighted: Bool = false) -> [Int64?] {
    var entries = result.batchStatistics.array.map { FixedPoint.encode(Double($0), weight: clips, lanes: lanes) }
    let loss = result.losses.reduce(0.0) { $0 + Double($1) }
    entries += [
      FixedPoint.encode(loss, weight: 1, lanes: lanes), Int64(result.top1), Int64(result.top5), Int64(clips),
    ]
    if isWeighted { entries.append(FixedPoint.encode(result.weight, weight: 1, lanes: lanes)) }
    return entries
  }

  public static func tally(of sums: IntegerVectors, isWeighted: Bool = false) -> Tally {
    let first = sums.statistics.count - extra(isWeighted: isWeighted)
    let clips = Int(sums.statistics[first + 3])
    return Tally(
      fixedLoss: sums.statistics[first], top1: Int(sums.statistics[first + 1]), top5: Int(sums.statistics[first + 2]),
      clips: clips, divisor: isWeighted ? FixedPoint.decode(sums.statistics[first + 4]) : Double(clips))
  }

  /// The clip-weighted means over the lanes.
  public static func average(_ sums: IntegerVectors, clips: Int, into averages: FloatStorage) {
    for i in 0..<averages.count { averages[i] = Float(FixedPoint.decode(sums.statistics[i]) / Double(clips)) }
  }
}
