// One training step, in the order in which it happens.
import Foundation
import Ring
import Shared
import Training
import Wire
import WorkerCore

/// Where a step's time goes.
struct StepClock {
  var started = ContinuousClock.now
  /// The first bucket began to go round.
  var reducing: ContinuousClock.Instant?
  var lanesDone = ContinuousClock.now
  var reduced = ContinuousClock.now
  var voted = ContinuousClock.now
  /// The ring's counters when the step began.
  var before = RingCounters()

  /// - Parameters:
  ///   - lanes: sums over the lanes, which `threads` threads computed.
  ///   - apply: seconds that it took.
  func times(_ lanes: LaneTimes, threads: Int, apply: Double) -> StepTimes {
    let share = 1 / Double(threads)
    var times = StepTimes()
    times.decodeWait = lanes.decodeWait * share
    times.forward = lanes.forward * share
    times.backward = lanes.backward * share
    times.quantise = lanes.quantise * share
    times.idle = max(0, (lanesDone - started).seconds - times.decodeWait - times.compute)
    times.overlap = reducing.map { max(0, (lanesDone - $0).seconds) } ?? 0
    times.reduce = (reduced - lanesDone).seconds
    times.vote = (voted - reduced).seconds
    times.apply = apply
    return times
  }
}

extension WorkerLoop {
  func openRing(_ generation: Generation) throws {
    guard let training, let position = generation.members.firstIndex(where: { $0.identity == settings.identity })
    else { return }
    let exchange = training.context.recipe.exchange
    // Lanes that were decoded ahead may have the clips that are now left out.
    if training.context.leaveOut(generation.exclusions) { training.feed.want([], lanes: []) }
    training.state.validationReductions = generation.reductions ?? 0
    try peers.open(generation, position: position)
    var ringSettings = RingSettings()
    ringSettings.bucketValues = exchange.bucketValues
    ringSettings.chunkValues = exchange.chunkValues
    ringSettings.codec = exchange.codec
    let sums = training.work.sums
    let plan = RingPlan(
      size: generation.members.count, position: position, gradientCount: sums.gradients.count,
      statisticCount: sums.statistics.count, settings: ringSettings)
    ring = RingSession(generation: generation.number, plan: plan, settings: ringSettings)
    log.info("generation \(generation.number): lanes \(session.lanes) from step \(generation.startStep)")
  }

  func compute(
    _ step: UInt64, _ attempt: UInt8, _ lanes: [Int], _ raised: [RaisedExponent]
  ) throws -> WorkerEvent? {
    guard let training else { return nil }
    let (context, work) = (training.context, training.work)
    let exponents = attempt == 0 ? training.state.exponents : work.raise(raised)
    clock = StepClock()
    clock.before = ring?.counters ?? RingCounters()
    training.feed.want([step] + (step + 1 < context.lastStep ? [step + 1] : []), lanes: lanes)
    work.compute(lanes, step: step, attempt: attempt, exponents: exponents, on: training.pool, context)
    try ring?.begin(step: step, attempt: attempt, partials: work.accumulator.partial, sums: work.sums, now: .now)
    return work.isComplete(lanes) ? summed(step, attempt) : nil
  }

  /// Gradients go round while the lanes still compute those of the layers before: bucket by bucket, as they are
  /// complete.
  func startBuckets() throws {
    guard session.phase == .computing, let ring, let work = training?.work else { return }
    for bucket in work.accumulator.takeCompleteBuckets() {
      clock.reducing = clock.reducing ?? .now
      try ring.start(bucket: bucket)
    }
  }

  /// All lanes of this rank are summed up.
  func lanesSummed() throws {
    guard let work = training?.work, let step = work.step else { return }
    try handle(summed(step, work.attempt))
  }

  private func summed(_ step: UInt64, _ attempt: UInt8) -> WorkerEvent {
    clock.lanesDone = .now
    return .lanesSummed(step: step, attempt: attempt)
  }

  func vote(_ heard: Heard) throws {
    guard let training else { return }
    clock.reduced = .now
    ring?.offer(
      training.work.ballot(
        rank: settings.identity.rank, weights: training.state.digest,
        expected: training.context.clipDigests(step: training.state.step), directive: heard.code,
        threads: ring?.threads ?? 1))
    try pump()
  }

  /// Logs how sums get to the right neighbour: through memory, or over the wire as the link's trials decided.
  private func logLink(_ ring: RingSession) {
    guard let members = session.generation?.members else { return }
    if ring.isReadByRight, ring.generation != loggedMemory {
      loggedMemory = ring.generation
      log.info("worker \(members[ring.plan.right].identity.rank) reads sums in this worker's memory")
    }
    guard let pace = ring.measuredPace, pace != loggedPace else { return }
    loggedPace = pace
    func megabytes(_ value: Double) -> Int { Int((value / 1e6).rounded()) }
    log.info(
      """
      the link to worker \(members[ring.plan.right].identity.rank) takes \(megabytes(pace.compressed)) MB of gradients a \
      second compressed, \(megabytes(pace.plain)) in 16 bits: \(pace.compresses ? "compressing" : "not compressing")
      """)
  }

  /// Moves the ring as far as it goes without waiting.
  func pump() throws {
    guard let ring else { return }
    // More would wait for memory, and each needs a codec.
    ring.threads = min(8, 1 + (training?.pool.idle ?? 0))
    logLink(ring)
    if let frame = ring.nextToLeft() { try peers.sendLeft(frame) }
    while let frame = ring.nextToRight(now: .now) { try peers.sendRight(frame) }
    if session.phase == .reducing, ring.isReduced { try handle(.reduced) }
    if session.phase == .voting, let step = session.next, let ballots = ring.ballots {
      clock.voted = .now
      try handle(.ballots(ballots, clips: training?.work.expectedClips ?? []) { [self] in describe($0, step) })
    }
  }

  private func describe(_ found: [NonFiniteGradient], _ step: UInt64) -> String {
    guard let first = found.first, let context = training?.context else { return "a gradient is not finite" }
    let layout = context.network.layout
    let name =
      first.tensor == NonFiniteGradient.statistics
      ? "the loss or a statistic" : layout.parameters[Int(first.tensor)].name
    let clips = context.clips(step: step, lane: Int(first.lane)).map {
      context.train.clips[$0 % context.train.clips.count].id
    }
    return
      "step \(step): the gradient of \(name) is not finite in lane \(first.lane) (clips \(clips.joined(separator: " "))"
      + (found.count > 1 ? ", and \(found.count - 1) more tensors)" : ")")
      + "; lower optimizer.learning_rate, or set exchange.non_finite: skip"
  }

  func apply(_ step: UInt64, skipping: Bool) -> WorkerEvent? {
    guard let training, training.state.step == step else { return nil }
    let (state, work) = (training.state, training.work)
    let weights = state.digest
    let rate = state.rate
    let tally = LaneStatistics.tally(of: work.sums, isWeighted: training.context.loss.weighsClips)
    let begun = ContinuousClock.now
    let digest = work.sums.digest(threads: ring?.threads ?? 1)
    state.apply(work.sums, exponents: work.exponents, skipping: skipping)
    let counters = ring?.counters ?? clock.before
    let share = CommitRecord.Share(
      lanes: work.summed.sorted(), rawBytes: UInt64(counters.rawBytes - clock.before.rawBytes),
      wireBytes: UInt64(counters.bytesSent - clock.before.bytesSent),
      times: clock.times(work.times, threads: settings.threads.lanes, apply: (ContinuousClock.now - begun).seconds))
    let record = CommitRecord(
      generation: session.generation?.number ?? 0, step: step, attempt: work.attempt, digest: digest, weights: weights,
      after: state.digest, loss: tally.loss, top1: tally.top1, top5: tally.top5, clips: tally.clips,
      clipPairs: ClipPairs.sum(work.expectedClips), learningRate: Double(rate), skipped: skipping,
      share: share)
    work.forget()
    return .applied(record)
  }
}
