// The orders of all epochs of a run: each clip once, or as many clips of each class.
import Shared

/// What an epoch of N clips trains, and in which order: a pure function of the seed, the epoch and the index.
///
/// In a balanced run each class that has clips gets as many draws as the others, or one more; within a class, no clip
/// is drawn twice as long as another was not drawn at all, and which ones are drawn once more changes from epoch to
/// epoch. A draw is a number `occurrence · N + clip`, with occurrences from 0: so no draw is there twice in an epoch,
/// and everything that is keyed by a clip's number (augmentation, ledger, exclusions) is keyed by the pair.
public struct EpochOrders: Sendable {
  public let count: Int
  private let seed: UInt64
  /// The clips of each class that has some; nil if each clip is drawn once.
  private let classes: [[UInt32]]?

  /// - Parameter index: of clips of one class each, if the run is balanced.
  /// - Throws: `DatasetError(.badConfiguration)` if a class has too few clips for the numbers of its draws.
  public init(seed: UInt64, _ index: ClipIndex, balanced: Bool) throws {
    try self.init(
      seed: seed, count: index.clips.count,
      labels: balanced ? index.clips.indices.map { index.clips[$0].labels[0] } : nil)
  }

  /// - Parameter labels: of the clips, for a balanced run.
  init(seed: UInt64, count: Int, labels: [Int]?) throws {
    (self.seed, self.count) = (seed, count)
    guard let labels else {
      classes = nil
      return
    }
    var members: [Int: [UInt32]] = [:]
    for (clip, label) in labels.enumerated() { members[label, default: []].append(UInt32(clip)) }
    let classes = members.sorted { $0.key < $1.key }.map(\.value)
    self.classes = classes
    let least = classes.map(\.count).min() ?? 1
    let occurrences = classes.isEmpty ? 1 : (count / classes.count + least) / least
    guard (occurrences + 1).multipliedReportingOverflow(by: count).partialValue <= Int32.max else {
      throw DatasetError(
        .badConfiguration,
        "data.balanced: a class has \(least) of \(count) clips, each of which would be drawn \(occurrences) times in an "
          + "epoch; leave such classes out, or use loss.class_weights")
    }
  }

  public func order(epoch: Int) -> EpochOrder {
    guard let classes else { return EpochOrder(seed: seed, epoch: epoch, count: count) }
    var random = Philox(seed: seed, .balancedDraws, UInt32(truncatingIfNeeded: epoch))
    var more = Set<Int>()
    if !classes.isEmpty { more = Set(random.permutation(classes.count).prefix(count % classes.count)) }
    var draws: [UInt32] = []
    draws.reserveCapacity(count)
    for (number, clips) in classes.enumerated() {
      let wanted = count / classes.count + (more.contains(number) ? 1 : 0)
      let whole = wanted / clips.count
      for occurrence in 0..<whole { draws += clips.map { $0 + UInt32(occurrence * count) } }
      let rest = random.permutation(clips.count).prefix(wanted % clips.count)
      draws += rest.map { clips[$0] + UInt32(whole * count) }
    }
    return EpochOrder(seed: seed, epoch: epoch, draws: draws)
  }
}
