// Takes the place of a worker's process: `WorkerLoop` with its links, lanes, state and shelf.
import Ring
import Shared

@testable import Coordinator
@testable import Worker

final class SimulatedWorker {
  enum Flip {
    case sum, partial
    /// The next lane is trained with another clip in the place of its first.
    case clip
  }

  private struct Fetch {
    var from: StateSource
    /// -1 for the indexes.
    var name: Int64
    var generation: UInt32 = 0
  }

  private struct Peer: Equatable {
    var pid: Int
    var generation: UInt32
  }

  private static let ringSettings = {
    var settings = RingSettings()
    (settings.bucketValues, settings.chunkValues, settings.wholeValues) = (4, 2, 2)
    return settings
  }()
  private static let fingerprint = ["kernel": "simulated"]
  private static let selfTest = SelfTest(lane: Digest128(high: 1, low: 1), clip: nil)
  private static let blobs = Array(
    repeating: BlobDescription(name: "", bytes: 0, digest: Digest128(high: 0, low: 0)), count: 2)

  private unowned let world: World
  let pid: Int
  let identity: WorkerIdentity
  var isAlive = true
  var pausedUntil: Nanoseconds = 0
  var isHung = false
  var flips: Flip?
  /// Its state is one that the run has left behind; until it learns another.
  var hasStrayed = false
  private var flipped: (index: Int, bit: Int32)?
  /// The sum that it voted for and has not applied.
  private(set) var kept: (step: UInt64, generation: UInt32, attempt: UInt8)?
  private(set) var leaving: (reason: String, clean: Bool)?
  private(set) var session: WorkerSession

  // What exists once the indexes are here.
  private var state: TrainingValue?
  private var work: SimulatedWork
  private var leftOut: [ClipVerdict] = []
  private var clipTries: [Int: Int] = [:]
  private var raised: Int32 = 0

  // The lanes' threads.
  private var jobs: [LaneJob] = []
  private var busy = 0
  private var round = 0
  private var lanesComputed: UInt64 = 0

  // The ring and what is around it.
  private var ring: RingSession?
  private var left: Peer?
  private var right: Peer?
  private var early: [(from: Peer, bytes: [UInt8])] = []
  private var timer: Nanoseconds = .max

  private var fetch: Fetch?
  private var shelf: [Int64: TrainingValue] = [:]
  private var pendingCheckpoints: [UInt64] = []

  init(_ world: World, pid: Int, identity: WorkerIdentity) {
    self.world = world
    self.pid = pid
    self.identity = identity
    session = WorkerSession(identity: identity)
    // In some worlds all are on one machine.
    work = SimulatedWork(shared: world.seed % 8 == 0)
  }

  private var now: ContinuousClock.Instant { world.instant(world.now) }
  private var training: Training { world.training }

  // MARK: What arrives

  func take(_ event: World.Event) {
    switch event {
    case .fromCoordinator(let message): perform(session.receive(message))
    case .workerTick:
      repeatUnanswered()
      checkRightLink()
      world.schedule(.workerTick, node: pid, at: world.now + 1_000.milliseconds)
    case .beat:
      send(.heartbeat(progress), channel: 1)
      world.schedule(.beat, node: pid, at: world.now + 300.milliseconds)
      return
    case .ringTimer: timer = .max
    case .closed(let peer): tellOfClosedLink(peer)
    case .askedToLeave(let again):
      if again { leaving = ("ended at once", false) }
      perform(session.askedToLeave())
    case .laneDone(let job): laneDone(job)
    case .ring(let from, let generation, let bytes):
      let peer = Peer(pid: from, generation: generation)
      if peer == left { fromLeft(bytes) } else { keep(peer, bytes) }
      // A loop takes all that has come before it looks what follows from it.
      if world.random.chance(150) {
        return world.schedule(.ringTimer, node: pid, at: world.now + Nanoseconds(world.random.below(3_000_000)))
      }
    case .ringAnswer(let generation, let bytes):
      if generation == right?.generation { ring?.receiveFromRight(bytes, now: now) }
    case .ask(let name, let asker):
      if asker != World.coordinatorNode { shelveForPeers(name) }
      reply(.piece(name: name, from: pid, shelf[name]), to: asker)
    case .piece(let name, _, let value): took(name, value)
    case .fromWorker, .coordinatorTick, .childEnded, .interruptAgain, .fault, .startCoordinator, .startWorker:
      preconditionFailure("an event for somebody else")
    }
    while let place = early.firstIndex(where: { $0.from == left }) { fromLeft(early.remove(at: place).bytes) }
    pump()
    setTimer()
  }

  private func fromLeft(_ bytes: [UInt8]) {
    do { try ring?.receiveFromLeft(bytes, now: now) } catch {
      world.violate("I6: worker \(identity.rank) got an impossible frame: \(error)")
    }
  }

  private func keep(_ peer: Peer, _ bytes: [UInt8]) {
    early.append((peer, bytes))
    if early.count > 256 { early.removeFirst() }
  }

  private func repeatUnanswered() {
    if session.phase == .joining { sendHello() }
    for message in session.unanswered() { send(message) }
    for step in pendingCheckpoints { send(.checkpointReady(step: step, blobs: Self.blobs)) }
    if let fetch { ask(fetch) }
  }

  private func checkRightLink() {
    guard let ring, let since = ring.unacknowledgedSince, now - since > .seconds(3), let generation = session.generation
    else { return }
    let rank = generation.members[ring.plan.right].identity.rank
    send(
      .fault(
        Fault(
          kind: .silentPeer(rank: rank), generation: session.number, step: session.next ?? 0,
          text: "worker \(rank) acknowledges nothing", status: .unavailable)))
  }

  func isAhead(of step: UInt64) -> Bool { isAlive && (state?.step ?? 0) > step }

  func isConnected(to peer: Int) -> Bool { right?.pid == peer }

  private func tellOfClosedLink(_ peer: Int) {
    guard right?.pid == peer, let ring, let generation = session.generation else { return }
    let rank = generation.members[ring.plan.right].identity.rank
    send(
      .fault(
        Fault(
          kind: .closedLink(rank: rank), generation: session.number, step: session.next ?? 0,
          text: "the connection to worker \(rank) was closed", status: .unavailable)))
  }

  // MARK: What goes out

  private func send(_ message: WorkerMessage, channel: Int = 0) {
    guard isAlive else { return }
    if world.trace != nil {
      switch message {
      case .heartbeat: break
      default: world.log("worker \(identity.rank).\(pid): \(message)")
      }
    }
    world.send(.fromWorker(identity, message), from: pid, to: World.coordinatorNode, channel: channel)
  }

  private func reply(_ event: World.Event, to node: Int) {
    if isAlive { world.send(event, from: pid, to: node, channel: 2) }
  }

  private func sendHello() {
    send(
      .hello(
        Hello(
          host: world.scenario.launch == .local ? "here" : "there", pid: Int32(pid),
          threads: world.scenario.threads[identity.rank], endpoint: "\(pid)", fingerprint: Self.fingerprint,
          past: session.past)))
  }

  private var progress: Progress {
    var progress = Progress()
    progress.generation = session.generation?.number ?? 0
    progress.step = session.next ?? 0
    progress.attempt = session.attempt
    progress.phase = session.phase.progress
    progress.lanesDone = work.summed.count
    progress.work = lanesComputed
    progress.ringFrames = UInt64(ring?.counters.bytesReceived ?? 0)
    progress.waitingFor = ring.flatMap { $0.waitsFor }.flatMap { session.generation?.members[$0].identity.rank }
    return progress
  }

  // MARK: What the session wants

  private func perform(_ actions: [WorkerSession.Action]) {
    for action in actions {
      switch action {
      case .send(let message):
        send(message)
        if case .standing = message { world.moment(.halted, pid) }
        if case .prepared = message { world.moment(.prepared, pid) }
      case .introduce: sendHello()
      case .fetchIndexes: start(Fetch(from: .coordinator, name: -1))
      case .openRing(let generation): openRing(generation)
      case .closeRing:
        mend()
        ring?.abort()
        (ring, left, right) = (nil, nil, nil)
        if let fetch, fetch.name >= 0 { self.fetch = nil }
      case .discardSums:
        giveUp()
        work.forget()
      case .compute(let step, let attempt, let lanes): compute(step, attempt, lanes)
      case .reduce: reduce()
      case .vote(let directive): vote(directive)
      case .apply(let step, let skipping): apply(step, skipping)
      case .obtain(let source, let generation, let step): obtain(source, generation, step)
      case .shelve(let step): shelveCheckpoint(step)
      case .takenCheckpoint(let step):
        pendingCheckpoints.removeAll { $0 <= step }
        clearShelf()
      case .evaluate: break
      case .leave(let reason, let clean): leaving = (reason, clean)
      }
    }
  }

  // MARK: A step

  private func openRing(_ generation: Generation) {
    guard let position = generation.members.firstIndex(where: { $0.identity == identity }) else { return }
    leftOut = generation.verdicts
    (ring, left, right) = (nil, nil, nil)
    let members = generation.members
    func peer(_ place: Int) -> Peer {
      Peer(pid: Int(members[place % members.count].endpoint) ?? -3, generation: generation.number)
    }
    left = peer(position + members.count - 1)
    early.removeAll { $0.from != left }
    if members.count > 1 { right = peer(position + 1) }
    let plan = RingPlan(
      size: members.count, position: position, gradientCount: Training.gradients, statisticCount: Training.statistics,
      settings: Self.ringSettings)
    ring = RingSession(generation: generation.number, plan: plan, settings: Self.ringSettings)
    world.moment(.begun, pid)
  }

  private func compute(_ step: UInt64, _ attempt: UInt8, _ lanes: [Int]) {
    guard state != nil else { return }
    clearShelf()
    kept = nil
    let reused = work.step == step && work.attempt == attempt ? work.summed.count : 0
    let (submitted, anew) = work.compute(
      lanes, step: step, attempt: attempt, exponent: attempt == 0 ? 0 : raised
    ) { training.clips(step: step, lane: $0, without: leftOut).isEmpty }
    if anew { giveUp() } else { world.count { $0.reusedLanes += reused } }
    for lane in submitted {
      jobs.append(LaneJob(step: step, attempt: attempt, lane: lane, exponent: work.exponent, round: round))
    }
    startLanes()
    do {
      try ring?.begin(step: step, attempt: attempt, partials: work.partial, sums: work.sums)
    } catch { world.violate("I6: worker \(identity.rank) got an impossible frame early: \(error)") }
    if work.isComplete(lanes) { lanesComplete() }
  }

  private func giveUp() {
    round += 1
    jobs = []
  }

  private func startLanes() {
    while busy < world.scenario.threads[identity.rank], !jobs.isEmpty {
      var job = jobs.removeFirst()
      job.clips = training.clips(step: job.step, lane: job.lane, without: leftOut)
      mistakeClip(&job)
      busy += 1
      let time = world.scenario.laneTime[identity.rank]
      let jitter = Nanoseconds(world.random.below(Int(time / 4)))
      world.schedule(.laneDone(job), node: pid, at: world.now + time + jitter)
    }
  }

  private func laneDone(_ job: LaneJob) {
    if !job.isAdded, addEarly(job) { return }
    busy -= 1
    defer { startLanes() }
    guard job.round == round, let state else { return }
    lanesComputed += 1
    if let clip = undecodable(job) {
      work.failed(job)
      guard job.step == session.next else { return }
      return perform(
        session.failed(
          Fault(
            kind: .clip(lane: job.lane, clip: clip), generation: session.number, step: job.step,
            text: "clip \(clip) of lane \(job.lane) cannot be decoded by worker \(identity.rank)", status: .badData)))
    }
    if !job.isAdded { work.add(job, training, state) }
    work.finished(job)
    if work.step == job.step, work.isComplete(session.lanes) { lanesComplete() }
  }

  /// Buckets are complete, and go round, before the thread of the last lane says that it is done.
  private func addEarly(_ job: LaneJob) -> Bool {
    guard job.round == round, let state, work.isLast(job, of: session.lanes), session.phase == .computing, let ring,
      world.scenario.badClips.isEmpty, world.random.chance(500)
    else { return false }
    work.add(job, training, state)
    for bucket in ring.plan.buckets.indices.dropLast() where world.random.chance(700) {
      do { try ring.start(bucket: bucket) } catch { world.violate("I6: an impossible frame was waiting: \(error)") }
    }
    var job = job
    job.isAdded = true
    world.schedule(.laneDone(job), node: pid, at: world.now + Nanoseconds(world.random.below(20_000_000)))
    return true
  }

  private func undecodable(_ job: LaneJob) -> Int? {
    guard !world.scenario.badClips.isEmpty else { return nil }
    for clip in job.clips {
      guard let bad = world.scenario.badClips[clip], bad.ranks.contains(identity.rank) else { continue }
      clipTries[clip, default: 0] += 1
      if clipTries[clip, default: 0] <= bad.times { return clip }
    }
    return nil
  }

  private func lanesComplete() {
    guard let step = work.step else { return }
    world.moment(.computed, pid)
    perform(session.computed(step: step, attempt: work.attempt))
  }

  private func reduce() {
    do { try ring?.startAll() } catch { world.violate("I6: an impossible frame was waiting: \(error)") }
    pump()
  }

  private func vote(_ directive: UInt64) {
    guard let state else { return }
    world.moment(.reduced, pid)
    flipBit()
    kept = session.generation.flatMap { made in
      work.step.map { ($0, made.number, work.attempt) }
    }
    let expected = work.step.map { step in
      (0..<training.lanes).map {
        ClipPairs.digest(step: step, lane: $0, clips: training.clips(step: step, lane: $0, without: leftOut))
      }
    }
    ring?.offer(
      work.ballot(rank: identity.rank, weights: state.digest, expected: expected ?? [], directive: directive))
    pump()
    world.moment(.voted, pid)
  }

  /// Memory errs between the reduction and the vote. In a step that is skipped or repeated nothing compares the sums.
  private func flipBit() {
    guard let flips, flips != .clip, isAlive, let step = work.step, !training.isOdd(step),
      world.flippedSteps.insert(step).inserted
    else { return }
    self.flips = nil
    let (index, bit) = (world.random.below(Training.gradients), Int32(1) << Int32(world.random.below(20)))
    (flips == .sum ? work.sums : work.partial).gradients[index] ^= bit
    if flips == .partial { flipped = (index, bit) }
    world.log("worker \(identity.rank): a bit of its \(flips) flips")
  }

  /// The decoder delivers another clip than the one that it was asked for.
  private func mistakeClip(_ job: inout LaneJob) {
    guard flips == .clip, !job.clips.isEmpty, training.clipCount > 1, world.scenario.badClips.isEmpty,
      !training.isOdd(job.step), world.flippedSteps.insert(job.step).inserted
    else { return }
    flips = nil
    job.clips[0] = (job.clips[0] + 1) % training.clipCount
    world.log("worker \(identity.rank): trains clip \(job.clips[0]) in lane \(job.lane) of step \(job.step)")
  }

  /// An error in memory can only be noticed by a vote: where there is none, there was no error.
  private func mend() {
    if let (index, bit) = flipped { work.partial.gradients[index] ^= bit }
    flipped = nil
  }

  private func pump() {
    guard let ring else { return }
    if let bytes = ring.nextToLeft()?.array, let left {
      if isAlive {
        world.send(
          .ringAnswer(generation: left.generation, world.weathered(bytes)), from: pid, to: left.pid, channel: 3)
      }
    }
    while let bytes = ring.nextToRight(now: now)?.array {
      guard let right, isAlive else { continue }
      world.send(
        .ring(from: pid, generation: right.generation, world.weathered(bytes)), from: pid, to: right.pid, channel: 4)
    }
    if session.phase == .reducing, ring.isReduced { perform(session.reduced()) }
    if session.phase == .voting, let ballots = ring.ballots { decide(ballots) }
  }

  private func setTimer() {
    guard let deadline = ring?.deadline else { return }
    let time = max(world.now, world.nanoseconds(deadline))
    guard time < timer else { return }
    timer = time
    world.schedule(.ringTimer, node: pid, at: time)
  }

  private func decide(_ ballots: [Ballot]) {
    flipped = nil
    guard let step = session.next else { return }
    switch Verdict.of(ballots, clips: work.expectedClips) {
    case .commit(let directive): perform(session.agreed(directive: directive, skipping: false))
    case .repeatStep(let entries):
      raised = entries.first?.exponent ?? 0
      perform(session.repeatStep())
    case .nonFinite: perform(session.agreed(directive: ballots.map(\.directive).min() ?? 0, skipping: true))
    case .corrupt(let suspects, let reason):
      let ranks = suspects.map { Int(ballots[$0].rank) }
      perform(
        session.failed(
          Fault(
            kind: .corruption(ranks: ranks), generation: session.number, step: step,
            text: "step \(step): \(reason); suspected: ranks \(ranks)", status: .badData)))
    }
  }

  private func apply(_ step: UInt64, _ skipping: Bool) {
    guard isAlive else { return }
    world.moment(.applying, pid)
    guard let before = state, isAlive else { return }
    guard before.step == step else {
      return world.violate("worker \(identity.rank) is to apply step \(step) to the state before \(before.step)")
    }
    guard work.step == step else {
      return world.violate("worker \(identity.rank) is to apply step \(step), but has the sum of another")
    }
    if session.phase != .voting { world.count { $0.rolledForward += 1 } }
    let after = training.apply(work.sums, exponent: work.exponent, skipping: skipping, to: before)
    let digest = work.sums.digest()
    world.check(self, before: before, after: after, digest: digest, skipping: skipping)
    state = after
    kept = nil
    var times = StepTimes()
    times.forward = Double(work.summed.count) * Double(world.scenario.laneTime[identity.rank]) * 1e-9
    let record = CommitRecord(
      generation: session.generation?.number ?? 0, step: step, attempt: work.attempt, digest: digest,
      weights: before.digest, after: after.digest, loss: 0, top1: 0, top5: 0, clips: Int(work.sums.statistics[1]),
      clipPairs: ClipPairs.sum(work.expectedClips), learningRate: 0, skipped: skipping,
      share: .init(lanes: work.summed.sorted(), times: times))
    work.forget()
    perform(session.applied(record))
    world.moment(.applied, pid)
  }

  // MARK: The state

  private func obtain(_ source: StateSource, _ generation: UInt32, _ step: UInt64) {
    world.moment(.obtaining, pid)
    switch source {
    case .own: obtained(generation, step)
    case .initial:
      giveUp()
      work.forget()
      withdrawCheckpoints()
      state = training.initial
      hasStrayed = false
      obtained(generation, step)
    case .peer, .coordinator: start(Fetch(from: source, name: Int64(step), generation: generation))
    }
  }

  private func obtained(_ generation: UInt32, _ step: UInt64) {
    guard let state else { return }
    perform(session.obtained(generation: generation, step: step, weights: state.digest))
  }

  private func start(_ wanted: Fetch) {
    fetch = wanted
    ask(wanted)
  }

  private func ask(_ fetch: Fetch) {
    if case .peer(let endpoint) = fetch.from {
      reply(.ask(name: fetch.name, from: pid), to: Int(endpoint) ?? -3)
    } else {
      reply(.ask(name: fetch.name, from: pid), to: World.coordinatorNode)
    }
  }

  private func took(_ name: Int64, _ value: TrainingValue?) {
    guard let done = fetch, done.name == name else { return }
    if name < 0 {
      fetch = nil
      state = TrainingValue(value: 0)
      let training = training
      return perform(session.indexed(selfTest: Self.selfTest) { [every = training.checkpointEvery] in $0 % every == 0 })
    }
    guard let value else { return }
    fetch = nil
    giveUp()
    work.forget()
    withdrawCheckpoints()
    state = value
    hasStrayed = false
    obtained(done.generation, UInt64(name))
  }

  private func shelveForPeers(_ name: Int64) {
    guard let state, case .prepared(let step, _) = session.phase, state.step == step, name == Int64(step),
      shelf[name] == nil
    else { return }
    shelf[name] = state
  }

  private func shelveCheckpoint(_ step: UInt64) {
    guard let state, state.step == step,
      pendingCheckpoints.count < 2 || session.phase == .standing(stopped: true)
    else { return }
    shelf[Int64(step)] = state
    if !pendingCheckpoints.contains(step) { pendingCheckpoints.append(step) }
    send(.checkpointReady(step: step, blobs: Self.blobs))
    world.moment(.shelved, pid)
  }

  private func withdrawCheckpoints() {
    pendingCheckpoints = []
    clearShelf()
  }

  private func clearShelf() {
    shelf = shelf.filter { name, _ in pendingCheckpoints.contains { Int64($0) == name } }
  }
}
