// What stands in for training: small, exact, and a function of (state, step, lane, clips), so that a run in a loop
// without any network tells what every other run must come to.
import Ring
import Shared
import Wire

/// The state that training changes.
struct TrainingValue: Equatable {
  /// Every step below is applied.
  var step: UInt64 = 0
  var value: UInt64

  var digest: Digest128 { Digest128(high: value, low: ~value) }
}

/// A run's recipe and clips.
struct Training {
  static let gradients = 3
  static let statistics = 2

  let seed: UInt64
  let lanes: Int
  let clipsPerLane: Int
  /// Of one grid, or of two stages and a short cycle, as multigrid training has.
  let plan: StepPlan
  let lastStep: UInt64
  let checkpointEvery: UInt64
  /// 0 in most worlds.
  let validationClips: Int
  /// Which of them are evaluated.
  let validationSample: [Int]
  /// The states before these steps are evaluated while training goes on.
  let evaluateBefore: Set<UInt64>
  /// Whether training must know a result before it goes on.
  let followsValidation: Bool
  /// Of each epoch, which clip comes when.
  private let order: [[Int]]

  var clipCount: Int { order[0].count }
  var initial: TrainingValue { TrainingValue(value: SplitMix64.hash(seed, 1)) }

  /// - Parameter members: of a big cluster.
  init(_ random: inout SplitMix64, members: Int? = nil) {
    seed = random.next()
    lanes = members.map { $0 + random.between(0, $0 / 2) } ?? random.between(4, 5)
    clipsPerLane = random.between(1, 2)
    lastStep = UInt64(random.between(4, 8))
    let stepsPerEpoch = random.between(2, 4)
    checkpointEvery = UInt64(random.between(1, 4))
    let choice = SplitMix64.hash(seed, 4)
    let evaluates = members == nil && choice % 3 == 0
    validationClips = evaluates ? 1 + Int(choice >> 8) % 40 : 0
    followsValidation = choice >> 44 & 3 == 0
    let isSample = choice >> 40 & 1 == 1
    validationSample = (0..<validationClips).filter { !isSample || $0 % 3 != 1 }
    evaluateBefore = evaluates ? Set((1..<lastStep).filter { choice >> (20 + $0) & 1 == 1 }) : []
    let full = lanes * clipsPerLane
    // The last step of an epoch is short, often to the point that lanes are empty.
    let count = full * (stepsPerEpoch - 1) + random.between(1, full)
    let shape = ClipShape(frames: 1, size: 1)
    let single = StepPlan.Grid(shape, clipsPerLane: clipsPerLane)
    let double = StepPlan.Grid(shape, clipsPerLane: 2 * clipsPerLane)
    let first = StepPlan.Stage(epochs: 1, cycle: [double, single])
    plan = StepPlan(
      clips: count, lanes: lanes,
      stages: (choice >> 56 & 1 == 0 ? [] : [first]) + [StepPlan.Stage(epochs: 0, cycle: [single])])
    order = (0...plan.epoch(of: lastStep)).map { _ in
      var clips = Array(0..<count)
      for i in stride(from: count - 1, to: 0, by: -1) { clips.swapAt(i, random.below(i + 1)) }
      return clips
    }
  }

  func epoch(of step: UInt64) -> Int { plan.epoch(of: step) }

  func isCheckpoint(_ step: UInt64) -> Bool { step % checkpointEvery == 0 }

  func clips(step: UInt64, lane: Int, without exclusions: [ClipExclusion]) -> [Int] {
    let clips = order[epoch(of: step)][plan.positions(step: step, lane: lane)]
    return exclusions.isEmpty
      ? Array(clips) : clips.filter { !exclusions.contains(ClipExclusion(step: step, lane: lane, clip: $0)) }
  }

  // MARK: An evaluation

  /// Validation clips that no worker can decode.
  func isUndecodable(validation clip: Int) -> Bool { SplitMix64.hash(seed, 5, UInt64(clip)) % 11 == 0 }

  /// What an evaluation of some validation clips comes to with a state.
  func evaluate(_ state: UInt64, _ clips: some Sequence<Int>) -> EvaluationResult {
    var result = EvaluationResult()
    for clip in clips {
      if isUndecodable(validation: clip) {
        result.failed.append("clip \(clip)")
        continue
      }
      let chance = SplitMix64.hash(state, 6, UInt64(clip))
      result.clips += 1
      result.top1 += chance % 4 == 0 ? 1 : 0
      result.top5 += chance % 2 == 0 ? 1 : 0
      result.loss += Int64(chance >> 24)
    }
    return result
  }

  // MARK: A lane

  /// The exponent without which a lane overflows; 0 in most steps.
  func neededExponent(step: UInt64, lane: Int) -> Int32 {
    let chance = SplitMix64.hash(seed, 2, step)
    return chance % 5 == 0 && Int(chance >> 8) % lanes == lane ? 1 + Int32(chance >> 40 & 1) : 0
  }

  /// Whether a lane's gradient is not finite; such steps are skipped.
  func isNotFinite(step: UInt64, lane: Int) -> Bool {
    let chance = SplitMix64.hash(seed, 3, step)
    return chance % 9 == 0 && Int(chance >> 8) % lanes == lane
  }

  /// Whether a step is repeated with another exponent, or skipped.
  func isOdd(_ step: UInt64) -> Bool {
    (0..<lanes).contains { neededExponent(step: step, lane: $0) > 0 || isNotFinite(step: step, lane: $0) }
  }

  /// Adds a lane's gradients and statistics.
  func add(_ state: UInt64, step: UInt64, lane: Int, clips: [Int], exponent: Int32, to sums: IntegerVectors) {
    var random = SplitMix64(SplitMix64.hash(state, step, UInt64(lane), UInt64(exponent)))
    for clip in clips { random = SplitMix64(random.next() ^ UInt64(clip)) }
    for i in 0..<Self.gradients { sums.gradients[i] &+= Int32(truncatingIfNeeded: random.next() >> 44) - 1 << 19 }
    sums.statistics[0] &+= Int64(truncatingIfNeeded: random.next() >> 20)
    sums.statistics[1] &+= Int64(clips.count)
  }

  func apply(_ sums: IntegerVectors, exponent: Int32, skipping: Bool, to state: TrainingValue) -> TrainingValue {
    guard !skipping else { return TrainingValue(step: state.step + 1, value: state.value) }
    var value = SplitMix64.hash(state.value, UInt64(exponent))
    for i in 0..<Self.gradients { value = SplitMix64.hash(value, UInt64(bitPattern: Int64(sums.gradients[i]))) }
    for i in 0..<Self.statistics { value = SplitMix64.hash(value, UInt64(bitPattern: sums.statistics[i])) }
    return TrainingValue(step: state.step + 1, value: value)
  }
}

/// The same training in a loop. A step is computed when somebody first applies it: by then it is settled which clips
/// it goes without.
final class Reference {
  struct Step {
    var digest: Digest128
    var clips: Int
    var skipped: Bool
  }

  let training: Training
  private(set) var states: [TrainingValue]
  private(set) var steps: [Step] = []
  private let sums = IntegerVectors(gradientCount: Training.gradients, statisticCount: Training.statistics)

  init(_ training: Training) {
    self.training = training
    states = [training.initial]
  }

  /// The step and those after it are settled anew: they were rolled back.
  func forget(from step: UInt64) {
    guard steps.count > Int(step) else { return }
    steps.removeSubrange(Int(step)...)
    states.removeSubrange(Int(step) + 1..<states.count)
  }

  func compute(through step: UInt64, without exclusions: [ClipExclusion]) {
    while steps.count <= Int(step) {
      let step = UInt64(steps.count)
      let state = states[steps.count]
      let lanes = (0..<training.lanes).map {
        (lane: $0, clips: training.clips(step: step, lane: $0, without: exclusions))
      }
      .filter { !$0.clips.isEmpty }
      let skipped = lanes.contains { training.isNotFinite(step: step, lane: $0.lane) }
      let exponent = skipped ? 0 : lanes.map { training.neededExponent(step: step, lane: $0.lane) }.max() ?? 0
      sums.zero()
      for lane in lanes {
        training.add(state.value, step: step, lane: lane.lane, clips: lane.clips, exponent: exponent, to: sums)
      }
      let clips = Int(sums.statistics[1])
      steps.append(Step(digest: sums.digest(), clips: clips, skipped: skipped))
      states.append(training.apply(sums, exponent: exponent, skipping: skipped, to: state))
    }
  }
}
