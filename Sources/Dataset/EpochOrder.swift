// Which clips a lane of a step consumes: pure functions of the seed and the recipe, the same for every world size.
import Shared

/// The order in which an epoch consumes the clips of an index.
public struct EpochOrder: Equatable, Sendable {
  /// Positions in `ClipIndex.clips`, each once, or the draws of a balanced run (`EpochOrders`): 4 bytes a clip, since an epoch may have 10 million.
  public let clips: [UInt32]

  /// A permutation of `0..<count` that is a pure function of seed and epoch.
  public init(seed: UInt64, epoch: Int, count: Int) {
    self.init(seed: seed, epoch: epoch, draws: (0..<count).map { UInt32($0) })
  }

  /// A permutation of `draws` that is a pure function of seed and epoch.
  init(seed: UInt64, epoch: Int, draws: [UInt32]) {
    var random = Philox(seed: seed, .epochOrder, UInt32(epoch))
    // Fisher-Yates, with the draws of `Philox.permutation`.
    var order = draws
    for i in stride(from: order.count - 1, to: 0, by: -1) { order.swapAt(i, random.below(i + 1)) }
    clips = order
  }

  /// The clips of one lane, in order; fewer than a full lane, or none, at the end of the last step.
  public func clips(step: Int, lane: Int, in shards: StepShards) -> [Int] {
    precondition(shards.count == clips.count, "the shards are of \(shards.count) clips, the order of \(clips.count)")
    return clips[shards.positions(step: step, lane: lane)].map { Int($0) }
  }
}

/// How an epoch of `count` clips is cut into steps and lanes: step i takes the positions
/// `i·V·c ..< min((i + 1)·V·c, count)` of the epoch's order, V the lanes and c the clips of a lane.
/// The lanes of a short last step fill in order, and nothing is padded, repeated or dropped.
public struct StepShards: Equatable, Sendable {
  /// Clips in the index.
  public let count: Int
  public let lanes: Int
  public let clipsPerLane: Int

  public init(count: Int, lanes: Int, clipsPerLane: Int) {
    precondition(count >= 0 && lanes > 0 && clipsPerLane > 0, "an epoch cannot be cut into empty lanes")
    self.count = count
    self.lanes = lanes
    self.clipsPerLane = clipsPerLane
  }

  /// Clips in a full step.
  public var batch: Int { lanes * clipsPerLane }

  public var stepsPerEpoch: Int { (count + batch - 1) / batch }

  /// How many clips a step consumes; `step` counts from the start of the epoch.
  public func clips(inStep step: Int) -> Int { bounded((step + 1) * batch) - bounded(step * batch) }

  /// The positions in the epoch's order that a lane consumes; `step` counts from the start of the epoch.
  public func positions(step: Int, lane: Int) -> Range<Int> {
    precondition(step >= 0 && (0..<lanes).contains(lane), "step \(step), lane \(lane) of \(lanes)")
    let start = step * batch + lane * clipsPerLane
    return bounded(start)..<bounded(start + clipsPerLane)
  }

  private func bounded(_ position: Int) -> Int { min(position, count) }
}
