// How fast workers compute, and whether lanes should move from a slow one to the others.
import Shared
import Wire

/// A worker's speed.
struct Pace: Equatable {
  /// Seconds a lane, averaged over the last ten steps or so.
  private(set) var seconds = 0.0
  private(set) var steps = 0

  mutating func add(_ share: CommitRecord.Share) {
    let now = (share.times.compute + share.times.decodeWait) / Double(share.lanes.count)
    guard now.isFinite, now > 0 else { return }
    seconds = steps == 0 ? now : 0.9 * seconds + 0.1 * now
    steps += 1
  }

  var isMeasured: Bool { steps >= 10 }
}

struct LaneBalance {
  /// By rank.
  private var paces: [Int: Pace] = [:]
  /// The step at which lanes last moved.
  private var movedAt: UInt64?

  subscript(rank: Int) -> Pace? { paces[rank] }

  mutating func add(_ share: CommitRecord.Share, of rank: Int) { paces[rank, default: Pace()].add(share) }

  mutating func remove(_ rank: Int) { paces[rank] = nil }

  /// Each worker's weight in the lane plan: its measured speed, where all are measured, else its threads.
  /// One without data has none, unless all are so: then nothing is computed anyway.
  func weights(_ workers: [Membership.Worker]) -> [Int] {
    if workers.allSatisfy({ $0.dataLost != nil }) { return workers.map { _ in 1 } }
    return zip(workers, speeds(workers)).map { $0.dataLost == nil ? $1 : 0 }
  }

  private func speeds(_ workers: [Membership.Worker]) -> [Int] {
    let paces = workers.map { self[$0.identity.rank].flatMap { $0.isMeasured ? $0.seconds : nil } }
    let readers = zip(workers, paces).filter { $0.0.dataLost == nil }.map(\.1)
    guard !readers.contains(nil), let fastest = readers.compactMap(\.self).min(), fastest > 0 else {
      return workers.map { min(max(1, $0.hello.threads), 1024) }
    }
    return workers.map { worker in
      let weight = self[worker.identity.rank].map { (1000 * fastest / $0.seconds).rounded() } ?? 1
      return Int(exactly: weight).map { min(max(1, $0), 1000) } ?? 1
    }
  }

  /// From time to time: would another plan be a good deal faster?
  /// - Returns: the slowest worker, where lanes should move away from it.
  mutating func straggler(
    after step: UInt64, in generation: Generation, _ workers: [Membership.Worker], lanes: Int
  ) -> WorkerIdentity? {
    // Not too often: on machines with other work, whoever is slow now is not slow for long.
    guard step % 10 == 9, step >= generation.startStep + 20, movedAt.map({ step >= $0 + 100 }) ?? true,
      workers.count > 1,
      workers.allSatisfy({ $0.dataLost == nil && self[$0.identity.rank]?.isMeasured ?? false })
    else { return nil }
    let seconds = workers.map { self[$0.identity.rank]?.seconds ?? 0 }
    func slowest(_ counts: [Int]) -> Double { zip(counts, seconds).map { Double($0) * $1 }.max() ?? 0 }
    let present = slowest(generation.members.map(\.lanes.count))
    let possible = slowest(laneShares(lanes: lanes, weights: weights(workers)).map(\.count))
    guard possible < 0.7 * present else { return nil }
    movedAt = step
    return zip(workers, seconds).max { $0.1 < $1.1 }?.0.identity
  }
}
