// Takes the place of `GradientWork`: which lanes are summed up, and the sums.
import Ring
import Shared

/// A lane that is to be computed.
struct LaneJob {
  var step: UInt64
  var attempt: UInt8
  var lane: Int
  var exponent: Int32
  /// Jobs of an earlier round are given up.
  var round: Int
  /// Taken when it begins.
  var clips: [Int] = []
  /// Its gradients are in the sums; the thread has not said so yet.
  var isAdded = false
}

struct SimulatedWork {
  let partial: IntegerVectors
  let sums: IntegerVectors
  private(set) var step: UInt64?
  private(set) var attempt: UInt8 = 0
  private(set) var exponent: Int32 = 0
  private(set) var summed: Set<Int> = []
  private(set) var running: Set<Int> = []
  private var clips: [Int: Digest128] = [:]
  private(set) var expectedClips: [Digest128] = []
  private var raised: Int32?
  private var nonFinite: [UInt32] = []

  /// - Parameter shared: whether neighbours read the sums where they are.
  init(shared: Bool) {
    func vectors() -> IntegerVectors {
      IntegerVectors(gradientCount: Training.gradients, statisticCount: Training.statistics, shared: shared)
    }
    (partial, sums) = (vectors(), vectors())
  }

  /// - Returns: the lanes to submit, and whether everything before is given up.
  mutating func compute(
    _ lanes: [Int], step: UInt64, attempt: UInt8, exponent: Int32, isEmpty: (Int) -> Bool
  ) -> (lanes: [Int], anew: Bool) {
    var anew = false
    if self.step != step || self.attempt != attempt || self.exponent != exponent
      || !summed.union(running).isSubset(of: lanes)
    {
      anew = true
      partial.zero()
      (summed, running, clips, raised, nonFinite) = ([], [], [:], nil, [])
      (self.step, self.attempt, self.exponent) = (step, attempt, exponent)
    }
    var submitted: [Int] = []
    for lane in lanes where !summed.contains(lane) && !running.contains(lane) {
      if isEmpty(lane) {
        summed.insert(lane)
      } else {
        running.insert(lane)
        submitted.append(lane)
      }
    }
    return (submitted, anew)
  }

  /// Adds a lane's gradients to the sums, as its thread does.
  mutating func add(_ job: LaneJob, _ training: Training, _ state: TrainingValue) {
    training.add(
      state.value, step: job.step, lane: job.lane, clips: job.clips, exponent: job.exponent, to: partial)
    let needed = training.neededExponent(step: job.step, lane: job.lane)
    if needed > job.exponent { raised = max(raised ?? 0, needed) }
    if training.isNotFinite(step: job.step, lane: job.lane) { nonFinite.append(UInt32(job.lane)) }
  }

  mutating func finished(_ job: LaneJob) {
    guard job.step == step, job.attempt == attempt, running.remove(job.lane) != nil else { return }
    summed.insert(job.lane)
    clips[job.lane] = ClipPairs.digest(step: job.step, lane: job.lane, clips: job.clips)
  }

  mutating func failed(_ job: LaneJob) {
    if job.step == step, job.attempt == attempt { running.remove(job.lane) }
  }

  /// - Returns: whether the lane is to be computed again.
  mutating func retry(_ lane: Int) -> Bool { !summed.contains(lane) && running.insert(lane).inserted }

  mutating func forget() { step = nil }

  func isComplete(_ lanes: [Int]) -> Bool { summed == Set(lanes) }

  /// Whether only this lane's thread has to say that it is done.
  func isLast(_ job: LaneJob, of lanes: [Int]) -> Bool {
    job.step == step && job.attempt == attempt && summed.union([job.lane]) == Set(lanes)
  }

  mutating func ballot(rank: Int, weights: Digest128, expected: [Digest128], directive: UInt64) -> Ballot {
    expectedClips = expected
    return Ballot(
      rank: UInt32(rank), sumDigest: sums.digest(), weightsDigest: weights, scalesDigest: UInt64(exponent),
      partialChecksum: partial.linearChecksum(), sumChecksum: sums.linearChecksum(),
      trainedClips: ClipPairs.sum(clips.values), expectedClips: ClipPairs.sum(expected), lanes: LaneSet(summed),
      directive: directive, raised: raised.map { [RaisedExponent(tensor: 0, exponent: $0)] } ?? [],
      nonFinite: nonFinite.sorted().map { NonFiniteGradient(tensor: 0, lane: $0) })
  }
}
