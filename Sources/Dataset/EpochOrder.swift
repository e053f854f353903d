// Which clips a lane of a step consumes: pure functions of the seed and the recipe, the same for every world size.
import Shared

/// The order in which an epoch consumes the clips of an index.
public struct EpochOrder: Equatable, Sendable {
  /// Positions in `ClipIndex.clips`, each once, or the draws of a balanced run (`EpochOrders`): 4 bytes a clip, since
  /// an epoch may have 10 million.
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

  /// The clips of one lane, in order; fewer than a full lane, or none, at the end of the epoch's last step.
  /// - Parameter step: one of the epoch.
  public func clips(step: some BinaryInteger, lane: Int, in plan: StepPlan) -> [Int] {
    precondition(plan.clips == clips.count, "the plan is of \(plan.clips) clips, the order of \(clips.count)")
    return clips[plan.positions(step: step, lane: lane)].map { Int($0) }
  }
}
