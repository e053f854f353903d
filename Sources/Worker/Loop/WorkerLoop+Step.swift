// One training step, in the order in which it happens.
import Foundation
import Ring
import Shared
import Training

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
    guard let context, let work, let feed,
      let position = generation.members.firstIndex(where: { $0.identity == settings.identity })
    else { return }
    // Lanes that were decoded ahead may have the clips that are now left out.
    if context.leaveOut(generation.verdicts) { feed.want([], lanes: []) }
    try peers.open(generation, position: position)
    var ringSettings = RingSettings()
    ringSettings.bucketValues = context.recipe.exchange.bucketValues
    ringSettings.chunkValues = context.recipe.exchange.chunkValues
    ringSettings.codec = context.recipe.exchange.codec
    let plan = RingPlan(
      size: generation.members.count, position: position, gradientCount: work.sums.gradients.count,
      statisticCount: work.sums.statistics.count, settings: ringSettings)
    ring = RingSession(generation: generation.number, plan: plan, settings: ringSettings)
    log.info("generation \(generation.number): lanes \(session.lanes) from step \(generation.startStep)")
  }

  func compute(_ step: UInt64, _ attempt: UInt8, _ lanes: [Int]) throws {
    guard let context, let work, let pool, let state, let feed else { return }
    clearShelf()
    let exponents = attempt == 0 ? state.exponents : raised
    clock = StepClock()
    clock.before = ring?.counters ?? RingCounters()
    feed.want([step] + (step + 1 < context.lastStep ? [step + 1] : []), lanes: lanes)
    work.compute(lanes, step: step, attempt: attempt, exponents: exponents, on: pool, context)
    try ring?.begin(step: step, attempt: attempt, partials: work.accumulator.partial, sums: work.sums)
    if work.isComplete(lanes) { try lanesComplete() }
  }

  /// Gradients go round while the lanes still compute those of the layers before: bucket by bucket, as they are complete.
  func startBuckets() throws {
    guard session.phase == .computing, let ring, let work else { return }
    for bucket in work.accumulator.takeCompleteBuckets() {
      clock.reducing = clock.reducing ?? .now
      try ring.start(bucket: bucket)
    }
  }

  /// All lanes of this rank are summed up.
  func lanesComplete() throws {
    guard let step = work?.step, let attempt = work?.attempt else { return }
    clock.lanesDone = .now
    try perform(session.computed(step: step, attempt: attempt))
  }

  func reduce() throws {
    try ring?.startAll()
    try pump()
  }

  func vote(_ directive: UInt64) throws {
    guard let work, let state else { return }
    clock.reduced = .now
    // Nothing that makes all stand is agreed to while nobody is there to make them go on.
    let directive = isDirected ? directive : session.directivesDone
    ring?.offer(
      work.ballot(rank: settings.identity.rank, weights: state.digest, directive: directive, hands: ring?.hands ?? 1))
    try pump()
  }

  /// Says how sums get to the right neighbour: through memory, or over the wire as the link's trials decided.
  private func tellLink(_ ring: RingSession) {
    guard let members = session.generation?.members else { return }
    if ring.isReadByRight, ring.generation != toldMemory {
      toldMemory = ring.generation
      log.info("worker \(members[ring.plan.right].identity.rank) reads sums in this worker's memory")
    }
    guard let pace = ring.measuredPace, pace != toldPace else { return }
    toldPace = pace
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
    ring.hands = min(8, 1 + (pool?.idle ?? 0))
    tellLink(ring)
    if let frame = ring.nextToLeft() { try peers.sendLeft(frame) }
    while let frame = ring.nextToRight(now: .now) { try peers.sendRight(frame) }
    if session.phase == .reducing, ring.isReduced { try perform(session.reduced()) }
    if session.phase == .voting, let ballots = ring.ballots { try decide(ballots) }
  }

  private func decide(_ ballots: [Ballot]) throws {
    guard let context, let work, let step = session.next else { return }
    clock.voted = .now
    switch work.verdict(ballots) {
    case .commit(let directive): try perform(session.agreed(directive: directive, skipping: false))
    case .repeatStep(let entries):
      raised = work.raise(entries)
      log.info("step \(step): \(entries.count) scales were too small, once more")
      try perform(session.repeatStep())
    case .nonFinite(let found) where context.recipe.exchange.nonFinite == .skip:
      log.warning("step \(step) is skipped: \(describe(found, step))")
      try perform(session.agreed(directive: ballots.map(\.directive).min() ?? 0, skipping: true))
    case .nonFinite(let found):
      try fail(.nonFiniteGradient, step, describe(found, step))
    case .corrupt(let suspects, let reason):
      let ranks = suspects.map { Int(ballots[$0].rank) }
      try fail(.corruption(ranks: ranks), step, "step \(step): \(reason); suspected: ranks \(ranks)")
    }
  }

  private func fail(_ kind: Fault.Kind, _ step: UInt64, _ text: String) throws {
    log.error("\(text)")
    try perform(session.failed(Fault(kind: kind, generation: session.number, step: step, text: text, status: .badData)))
  }

  private func describe(_ found: [NonFiniteGradient], _ step: UInt64) -> String {
    guard let first = found.first, let context else { return "a gradient is not finite" }
    let layout = context.network.layout
    let name =
      first.tensor == NonFiniteGradient.statistics
      ? "the loss or a statistic" : layout.parameters[Int(first.tensor)].name
    let clips = context.clips(step: step, lane: Int(first.lane)).map { context.train.clips[$0].id }
    return
      "step \(step): the gradient of \(name) is not finite in lane \(first.lane) (clips \(clips.joined(separator: " "))"
      + (found.count > 1 ? ", and \(found.count - 1) more tensors)" : ")")
      + "; lower optimizer.learning_rate, or set exchange.non_finite: skip"
  }

  func apply(_ step: UInt64, skipping: Bool) throws {
    guard let state, let work, state.step == step else { return }
    let weights = state.digest
    let rate = state.rate
    let tally = LaneStatistics.tally(of: work.sums)
    let begun = ContinuousClock.now
    let digest = work.sums.digest(hands: ring?.hands ?? 1)
    state.apply(work.sums, exponents: work.exponents, skipping: skipping)
    let counters = ring?.counters ?? clock.before
    let share = CommitRecord.Share(
      lanes: work.summed.sorted(), rawBytes: UInt64(counters.rawBytes - clock.before.rawBytes),
      wireBytes: UInt64(counters.bytesSent - clock.before.bytesSent),
      times: clock.times(work.times, threads: settings.threads.lanes, apply: (ContinuousClock.now - begun).seconds))
    let record = CommitRecord(
      generation: session.generation?.number ?? 0, step: step, attempt: work.attempt, digest: digest, weights: weights,
      after: state.digest, loss: tally.loss, top1: tally.top1, top5: tally.top5, clips: tally.clips,
      learningRate: Double(rate), skipped: skipping, share: share)
    work.forget()
    try perform(session.applied(record))
  }
}
