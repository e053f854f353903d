// The sums of one step: the lanes they hold, the input and output of the reduction, and the ballot.
import Foundation
import Ring
import Shared
import Training

/// The partial sum of this worker and the reduced sum, for one attempt of a step at a time.
final class GradientWork {
  let accumulator: GradientAccumulator
  /// The reduced sum, frozen from the vote until it is applied or discarded.
  let sums: IntegerVectors
  /// The exponents that the present attempt is quantised with.
  private(set) var exponents: [Int32] = []
  private(set) var step: UInt64?
  private(set) var attempt: UInt8 = 0
  /// The lanes that are summed, and those that are submitted but not complete.
  private(set) var summed: Set<Int> = []
  private var running: Set<Int> = []
  /// Of the clips that were trained for the sums, by lane; empty lanes have none.
  private var clips: [Int: Digest128] = [:]
  /// `ClipPairs` of the clips that each lane of the step should train, as of this rank's vote.
  private(set) var expectedClips: [Digest128] = []
  /// Sums over the lanes.
  private(set) var times = LaneTimes()
  private let seed: UInt64

  init(_ context: RunContext) {
    let layout = context.network.layout
    let statistics = layout.statisticCount + LaneStatistics.extra(isWeighted: context.loss.weighsClips)
    seed = context.recipe.seed
    accumulator = GradientAccumulator(
      tensorCounts: layout.gradients.map(\.count), statisticCount: statistics,
      laneCount: context.recipe.batch.lanes, bucketValues: context.recipe.exchange.bucketValues,
      shared: context.recipe.exchange.sharedMemory)
    sums = IntegerVectors(
      gradientCount: layout.gradientCount, statisticCount: statistics,
      shared: context.recipe.exchange.sharedMemory)
  }

  /// Makes sure that `lanes` get computed for this attempt. The sums are kept if they hold only wanted lanes; otherwise
  /// all lanes are recomputed.
  func compute(
    _ lanes: [Int], step: UInt64, attempt: UInt8, exponents: [Int32], on pool: LanePool, _ context: RunContext
  ) {
    let wanted = Set(lanes)
    if self.step != step || self.attempt != attempt || self.exponents != exponents
      || !summed.union(running).isSubset(of: wanted)
    {
      pool.cancelAll()
      accumulator.reset()
      (summed, running, clips, times) = ([], [], [:], LaneTimes())
      (self.step, self.attempt, self.exponents) = (step, attempt, exponents)
    }
    let scales = GradientAccumulator.Attempt(seed: seed, step: step, exponents: exponents)
    let filled = lanes.filter { !context.clips(step: step, lane: $0).isEmpty }
    accumulator.expect(lanes: filled.count)
    for lane in lanes where !summed.contains(lane) && !running.contains(lane) {
      if !filled.contains(lane) {
        summed.insert(lane)
      } else {
        running.insert(lane)
        pool.submit(LaneTask(step: step, attempt: attempt, lane: lane, scales: scales, round: pool.currentRound))
      }
    }
  }

  /// Submits a failed lane again.
  func retry(_ lane: Int, step: UInt64, on pool: LanePool) {
    guard self.step == step, !summed.contains(lane), running.insert(lane).inserted else { return }
    let scales = GradientAccumulator.Attempt(seed: seed, step: step, exponents: exponents)
    pool.submit(LaneTask(step: step, attempt: attempt, lane: lane, scales: scales, round: pool.currentRound))
  }

  /// Records that a lane is summed.
  /// - Parameter clips: the clips that it trained.
  func finished(_ job: LaneTask, _ lane: LaneTimes, clips: [Int]) {
    guard job.step == step, job.attempt == attempt, running.remove(job.lane) != nil else { return }
    summed.insert(job.lane)
    self.clips[job.lane] = ClipPairs.digest(step: job.step, lane: job.lane, clips: clips)
    times.decodeWait += lane.decodeWait
    times.forward += lane.forward
    times.backward += lane.backward
    times.quantise += lane.quantise
  }

  /// Records that a lane added nothing.
  func failed(_ job: LaneTask) {
    if job.step == step, job.attempt == attempt { running.remove(job.lane) }
  }

  /// Discards the present attempt.
  func forget() { step = nil }

  func isComplete(_ lanes: [Int]) -> Bool { summed == Set(lanes) }

  /// This rank's ballot on the reduced sum.
  /// - Parameters:
  ///   - expected: `ClipPairs` of each of the step's lanes.
  ///   - threads: how many may share the work.
  func ballot(rank: Int, weights: Digest128, expected: [Digest128], directive: UInt64, threads: Int) -> Ballot {
    let sum = sums.digestAndChecksum(threads: threads)
    expectedClips = expected
    return Ballot(
      rank: UInt32(rank), sumDigest: sum.digest, weightsDigest: weights,
      scalesDigest: unsafe exponents.withUnsafeBytes { unsafe Digest128(of: $0).low },
      partialChecksum: accumulator.partial.linearChecksum(threads: threads), sumChecksum: sum.linearChecksum,
      trainedClips: ClipPairs.sum(clips.values), expectedClips: ClipPairs.sum(expected), lanes: LaneSet(summed),
      directive: directive,
      raised: accumulator.raised, nonFinite: accumulator.nonFinite)
  }

  /// The exponents of the next attempt.
  func raise(_ raised: [RaisedExponent]) -> [Int32] {
    var result = exponents
    for entry in raised { result[Int(entry.tensor)] = entry.exponent }
    return result
  }
}
