// A worker's process in the simulated world: the production machine and the production ring, around simulated ports.
import Ring
import Shared
import Wire
import WorkerCore

@testable import CoordinatorCore

final class SimulatedWorker {
  enum Flip {
    case sum, partial
    /// The next lane is trained with another clip in the place of its first.
    case clip
    /// The state, while it is kept for another generation.
    case state
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
  static let fingerprint = ["kernel": "simulated"]
  private static let selfTest = SelfTest(lane: Digest128(high: 1, low: 1), clip: nil)

  private unowned let world: World
  let pid: Int
  let identity: WorkerIdentity
  private let start: Nanoseconds
  var isAlive = true
  var pausedUntil: Nanoseconds = 0
  var isHung = false
  var flips: Flip?
  /// The next copy of its state that it hands to the coordinator is wrong.
  var spoilsCopy = false
  /// Something in its memory was wrong.
  private(set) var hasErred = false
  /// It has, or had, clips that take long.
  private(set) var isSlow = false
  /// When a message of the coordinator last came.
  private var heard: Nanoseconds = 0
  /// Its state is one that the run has left behind; until it learns another.
  var hasStrayed = false
  private var flipped: (index: Int, bit: Int32)?
  /// The sum that it voted for and has not applied.
  private(set) var kept: (step: UInt64, generation: UInt32, attempt: UInt8)?
  private(set) var leaving: (reason: String, clean: Bool)?
  private var machine: WorkerMachine
  var session: WorkerSession { machine.session }
  /// As a table.
  var table: String { "\(machine)" }
  /// The numbers of its connections to the coordinator.
  private(set) var connection = 0
  private(set) var heartbeatConnection = 0
  private var heartbeatLink = LinkLiveness()

  // What exists once the indexes are here.
  private var state: TrainingValue?
  private var work: SimulatedWork
  private var leftOut: [ClipExclusion] = []
  private var clipTries: [Int: Int] = [:]

  // The lanes' threads.
  private var jobs: [LaneJob] = []
  private var busy = 0
  /// Evaluation tasks that it works on.
  private var evaluating = 0
  private var round = 0
  private var clipsRead: UInt64 = 0
  private var isProbing = false

  // The ring and what is around it.
  private var ring: RingSession?
  private var left: Peer?
  private var right: Peer?
  private var early: [(from: Peer, bytes: [UInt8])] = []
  private var timer: Nanoseconds = .max

  private var fetched: [String: TrainingValue] = [:]
  /// The model of a state that the run has passed, and measured batch norms.
  private var passed: TrainingValue?
  private var norms: TrainingValue?
  private var shelf: [UInt64: TrainingValue] = [:]
  /// What came with the present message.
  private var payload: TrainingValue?

  /// Whom this worker lets in: the members of the generation that runs or ran last, and those that prepare for another.
  private var members: Set<Int> = []
  private var coming: (generation: UInt32, peers: Set<Int>) = (0, [])

  init(_ world: World, pid: Int, identity: WorkerIdentity) {
    self.world = world
    self.pid = pid
    self.identity = identity
    start = world.now
    machine = WorkerMachine(identity: identity)
    // In some worlds all are on one machine.
    work = SimulatedWork(shared: world.seed % 8 == 0)
  }

  private var now: ContinuousClock.Instant { world.instant(world.now) }
  private var age: Duration { .nanoseconds(world.now - start) }
  private var training: Training { world.training }

  // MARK: What arrives

  func take(_ event: World.Event) {
    switch event {
    case .fromCoordinator(_, .control), .ask(_, World.coordinatorNode, _), .piece(_, World.coordinatorNode, _):
      heard = world.now
    default: break
    }
    switch event {
    case .hostIsDown: return world.end(self, "its host is down")
    case .clipRead:
      clipsRead += 1
      return
    case .fromCoordinator(let message, .control): handle(.message(message, payload: nil))
    case .fromCoordinator(let message, .heartbeat):
      heartbeatLink.heard(at: age)
      guard case .identify(let run) = message else { return }
      handle(.askedForIdentity(run: run))
    case .workerTick:
      handle(
        .tick(
          unacknowledged: ring?.unacknowledgedSince.map { now - $0 },
          unread: busy > 0 || evaluating > 0 ? world.blockedFor(identity.rank).map { .nanoseconds($0) } : nil))
      world.schedule(.workerTick, node: pid, at: world.now + 1_000.milliseconds)
    case .beat: return beat()
    case .ringTimer: timer = .max
    case .closed(let peer): if right?.pid == peer { handle(.rightClosed) }
    case .askedToLeave: handle(.askedToLeave)
    case .laneDone(let job): laneDone(job)
    case .probed(let clip): probed(clip)
    case .evaluationDone(let task, let round): evaluationDone(task, round)
    // The door of the real worker lets in nobody else.
    case .ring(let from, _, _) where !isAdmitted(from): break
    case .ask(_, let asker, _) where asker != World.coordinatorNode && !isAdmitted(asker): break
    case .ring(let from, let generation, let bytes):
      let peer = Peer(pid: from, generation: generation)
      if peer == left { fromLeft(bytes) } else { keep(peer, bytes) }
      // A loop takes all that has come before it looks what follows from it.
      if world.random.chance(150) {
        return world.schedule(.ringTimer, node: pid, at: world.now + Nanoseconds(world.random.below(3_000_000)))
      }
    case .ringAnswer(let generation, let bytes):
      if generation == right?.generation { ring?.receiveFromRight(bytes, now: now) }
    case .ask(let name, let asker, _):
      let request = BlobRequest(name: name, offset: 0)
      handle(
        asker == World.coordinatorNode
          ? .message(.blobRequest(request), payload: nil) : .peerRequest(request, peer: asker))
    case .piece(let piece, let from, let value):
      payload = value
      let bytes = value == nil ? nil : 1
      handle(
        from == World.coordinatorNode
          ? .message(.blobPiece(piece), payload: bytes) : .peerPiece(piece, payload: bytes))
      payload = nil
    case .published(let state):
      shelf[state.step] = state
      world.moment(.published, pid)
      handle(
        .published(
          step: state.step,
          blobs: [StateBlobs.model(state.step), StateBlobs.trainer(state.step)].map { World.description($0, state) }))
    case .fromWorker, .coordinatorTick, .childEnded, .interrupt, .fault, .startCoordinator, .startWorker,
      .wroteCheckpoint, .readCheckpoint, .markBest:
      preconditionFailure("an event for somebody else")
    }
    while let place = early.firstIndex(where: { $0.from == left }) { fromLeft(early.remove(at: place).bytes) }
    pump()
    setTimer()
  }

  private func handle(_ event: WorkerEvent) {
    var events = [event]
    while !events.isEmpty, isAlive {
      for effect in machine.step(events.removeFirst(), at: age) where isAlive {
        if let answer = perform(effect) { events.append(answer) }
      }
    }
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

  func isAhead(of step: UInt64) -> Bool { isAlive && (state?.step ?? 0) > step }

  func isConnected(to peer: Int) -> Bool { right?.pid == peer }

  /// The thread that beats.
  private func beat() {
    if let number = heartbeatLink.reconnect(at: age) { heartbeatConnection = number }
    world.sendFromWorker(.heartbeat(progress), from: self, .heartbeat(heartbeatConnection))
    world.schedule(.beat, node: pid, at: world.now + 300.milliseconds)
  }

  private var progress: Progress {
    var counts = WorkCounts()
    counts.lanesDone = work.summed.count
    counts.read = clipsRead
    counts.received = UInt64(ring?.counters.bytesReceived ?? 0)
    counts.waitsFor = ring?.waitsFor
    return machine.progress(counts)
  }

  // MARK: What the machine wants

  private func perform(_ effect: WorkerEffect) -> WorkerEvent? {
    switch effect {
    case .send(let message): send(message)
    case .introduce(let past): send(.hello(hello(past)))
    case .connect(let number):
      connection = number
      world.count { $0.reconnections += 1 }
    case .ask(let request, let peer):
      if let peer {
        reply(.ask(name: request.name, from: pid, channel: 0), to: World.pid(at: peer))
      } else {
        world.sendFromWorker(request, from: self, .control(connection))
      }
    case .doneAsking: break
    case .keep(let piece): fetched[piece.name] = payload
    case .serve(let request, let peer): serve(request, peer)
    case .publish(let step):
      guard let state, state.step == step else { return nil }
      let time = world.random.between(1, 20).milliseconds
      world.schedule(.published(state), node: pid, at: world.now + time)
    case .withdraw(let steps): shelf = shelf.filter { steps.contains($0.key) }
    case .begin:
      state = TrainingValue(value: 0)
      let every = training.checkpointEvery
      var rules = RunRules { $0 % every == 0 }
      let validated = training.evaluateBefore
      rules.isValidated = { validated.contains($0) }
      rules.skipsNonFinite = true
      rules.pulseWithin = .milliseconds(900)
      rules.readAfter = .seconds(4)
      return .ready(Self.selfTest, rules, dataLost: world.isBlind(identity.rank) ? "the folder is gone" : nil)
    case .keepState(let step):
      flipState(step)
      return state.map { .obtained(step: step, weights: $0.digest) }
    case .initialise: return take(training.initial)
    case .load(_, let model, _): return fetched[model.name].flatMap { take($0) }
    case .admit(let peers, let generation):
      if generation >= coming.generation { coming = (generation, Set(peers.map { World.pid(at: $0.endpoint) })) }
    case .openRing(let generation): openRing(generation)
    case .closeRing:
      mend()
      ring?.abort()
      (ring, left, right) = (nil, nil, nil)
    case .discardSums:
      giveUp()
      work.forget()
    case .compute(let step, let attempt, let lanes, let raised): return compute(step, attempt, lanes, raised)
    case .retry(let step, let lane):
      guard work.step == step, work.retry(lane) else { return nil }
      jobs.append(LaneJob(step: step, attempt: work.attempt, lane: lane, exponent: work.exponent, round: round))
      startLanes()
    case .probe(let clip):
      guard !isProbing else { return nil }
      isProbing = true
      world.schedule(.probed(clip: clip), node: pid, at: world.now + world.random.between(1, 50).milliseconds)
    case .reduce: reduce()
    case .vote(let heard): vote(heard)
    case .apply(let step, let skipping): return apply(step, skipping)
    case .evaluate(let task): evaluate(task)
    case .loadBeside(let step, let blobs):
      for blob in blobs {
        if blob.name == StateBlobs.model(step) { passed = fetched[blob.name] } else { norms = fetched[blob.name] }
      }
      return .besideLoaded
    case .forgetBeside: (passed, norms) = (nil, nil)
    case .log(_, let text): world.log("worker \(identity.rank).\(pid): \(text)")
    case .leave(let reason, let clean): leaving = (reason, clean)
    }
    return nil
  }

  private func send(_ message: WorkerMessage) {
    if world.trace != nil { world.log("worker \(identity.rank).\(pid): \(message)") }
    world.sendFromWorker(message, from: self, .control(connection))
    if case .standing = message { world.moment(.halted, pid) }
    if case .prepared = message { world.moment(.prepared, pid) }
  }

  private func reply(_ event: World.Event, to node: Int) {
    if isAlive { world.send(event, from: pid, to: node, channel: 2) }
  }

  private func hello(_ past: Hello.Past?) -> Hello {
    Hello(
      host: world.scenario.launch == .local ? World.coordinatorHost : "there", pid: Int32(pid + 1),
      threads: world.scenario.threads[identity.rank], endpoint: World.endpoint(pid), fingerprint: Self.fingerprint,
      past: past, key: World.key(pid))
  }

  private func isAdmitted(_ peer: Int) -> Bool { members.contains(peer) || coming.peers.contains(peer) }

  private func serve(_ request: BlobRequest, _ peer: Int?) {
    let state = shelf.first {
      StateBlobs.model($0.key) == request.name || StateBlobs.trainer($0.key) == request.name
    }?.value
    let piece = BlobPiece(
      name: request.name, offset: request.offset, description: state.map { World.description(request.name, $0) })
    if let peer {
      reply(.piece(piece, from: pid, state), to: peer)
    } else if spoilsCopy, var wrong = state, StateBlobs.model(wrong.step) == request.name {
      (spoilsCopy, hasErred) = (false, true)
      wrong.value ^= 1
      let piece = BlobPiece(
        name: request.name, offset: request.offset, description: World.description(request.name, wrong))
      world.log("worker \(identity.rank): a copy for a checkpoint is wrong")
      world.sendFromWorker(piece, wrong, from: self, .control(connection))
    } else {
      world.sendFromWorker(piece, state, from: self, .control(connection))
    }
  }

  private func take(_ taken: TrainingValue) -> WorkerEvent {
    world.moment(.obtaining, pid)
    giveUp()
    work.forget()
    state = taken
    hasStrayed = false
    return .obtained(step: taken.step, weights: taken.digest)
  }

  // MARK: A step

  private func openRing(_ generation: Generation) {
    guard let position = generation.members.firstIndex(where: { $0.identity == identity }) else { return }
    leftOut = generation.exclusions
    members = Set(generation.members.compactMap(\.peer).map { World.pid(at: $0.endpoint) })
    if coming.generation <= generation.number { coming = (generation.number, []) }
    (ring, left, right) = (nil, nil, nil)
    let members = generation.members
    func peer(_ place: Int) -> Peer {
      Peer(pid: World.pid(at: members[place % members.count].endpoint), generation: generation.number)
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

  private func compute(
    _ step: UInt64, _ attempt: UInt8, _ lanes: [Int], _ raised: [RaisedExponent]
  ) -> WorkerEvent? {
    guard state != nil else { return nil }
    kept = nil
    let reused = work.step == step && work.attempt == attempt ? work.summed.count : 0
    let (submitted, anew) = work.compute(
      lanes, step: step, attempt: attempt, exponent: raised.first?.exponent ?? 0
    ) { training.clips(step: step, lane: $0, without: leftOut).isEmpty }
    if anew { giveUp() } else { world.count { $0.reusedLanes += reused } }
    for lane in submitted {
      jobs.append(LaneJob(step: step, attempt: attempt, lane: lane, exponent: work.exponent, round: round))
    }
    startLanes()
    do {
      try ring?.begin(step: step, attempt: attempt, partials: work.partial, sums: work.sums, now: now)
    } catch { world.violate("I6: worker \(identity.rank) got an impossible frame early: \(error)") }
    return work.isComplete(lanes) ? summed(step, attempt) : nil
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
      var time = world.scenario.laneTime[identity.rank]
      if world.scenario.slowRank == identity.rank, !world.hasSlowLane, job.clips.count > 1 {
        // Longer than what counts as a hang, but not for one clip.
        (world.hasSlowLane, isSlow) = (true, true)
        for clip in 1..<job.clips.count {
          world.schedule(.clipRead, node: pid, at: world.now + Nanoseconds(clip) * 7_000.milliseconds)
        }
        time = Nanoseconds(job.clips.count) * 7_000.milliseconds
      }
      // So little that the last of slow clips does not take as long as a hang either.
      let jitter = Nanoseconds(world.random.below(Int(min(time, 14_000.milliseconds) / 4)))
      world.schedule(.laneDone(job), node: pid, at: world.now + time + jitter)
    }
  }

  private func laneDone(_ job: LaneJob) {
    if !job.isAdded, let until = world.blockedUntil(identity.rank) {
      return world.schedule(.laneDone(job), node: pid, at: until + 10.milliseconds)
    }
    if !job.isAdded, !world.isBlind(identity.rank), addEarly(job) { return }
    busy -= 1
    defer { startLanes() }
    guard job.round == round, let state else { return }
    if !job.isAdded, let clip = undecodable(job) {
      work.failed(job)
      return handle(
        .laneFailed(
          step: job.step, lane: job.lane, clip: clip,
          reason: "clip \(clip) of lane \(job.lane) cannot be decoded by worker \(identity.rank)"))
    }
    clipsRead += UInt64(job.clips.count)
    if !job.isAdded { work.add(job, training, state) }
    work.finished(job)
    if work.step == job.step, work.isComplete(session.lanes) { handle(summed(job.step, work.attempt)) }
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
    if world.isBlind(identity.rank) { return job.clips.first }
    return job.clips.first { isBad($0) }
  }

  private func isBad(_ clip: Int) -> Bool {
    guard let bad = world.scenario.badClips[clip], bad.ranks.contains(identity.rank) else { return false }
    clipTries[clip, default: 0] += 1
    return clipTries[clip, default: 0] <= bad.times
  }

  private func probed(_ clip: Int?) {
    if let until = world.blockedUntil(identity.rank) {
      return world.schedule(.probed(clip: clip), node: pid, at: until + 10.milliseconds)
    }
    isProbing = false
    let reads = !world.isBlind(identity.rank)
    handle(
      .probed(
        reads: reads, clip: reads ? clip.map { ($0, !isBad($0)) } : nil, reason: "the folder is gone"))
  }

  // MARK: Evaluation

  private func evaluate(_ task: EvaluationTask) {
    guard let state = task.isPassed ? passed : state else {
      return world.violate("I12: worker \(identity.rank) is to evaluate, and has no state")
    }
    if task.isPassed { world.count { $0.passedStates += 1 } }
    if state.step != task.id.step || task.id.state.map({ $0 != state.digest }) ?? false {
      world.violate("I12: worker \(identity.rank) is to evaluate another state than it has")
    }
    world.moment(.evaluating, pid)
    evaluating += 1
    var time = Nanoseconds(task.clips.count) * world.random.between(1, 30).milliseconds
    if world.random.chance(10) {
      // Longer than another worker waits for, though every clip is soon done.
      isSlow = true
      time = 20_000.milliseconds
      for second in 1..<20 { world.schedule(.clipRead, node: pid, at: world.now + (1_000 * second).milliseconds) }
    }
    world.schedule(.evaluationDone(task, round: round), node: pid, at: world.now + time)
  }

  private func evaluationDone(_ task: EvaluationTask, _ started: Int) {
    if let until = world.blockedUntil(identity.rank) {
      return world.schedule(.evaluationDone(task, round: started), node: pid, at: until + 10.milliseconds)
    }
    evaluating -= 1
    guard started == round, let state = task.isPassed ? passed : state else { return }
    var result: EvaluationResult
    switch task.norms {
    case .running: result = training.evaluate(state.value, task.clips)
    case .measured: result = training.measure(state.value, task.clips)
    case .precise:
      guard let norms, norms.step == task.id.step else {
        return world.violate("I12: worker \(identity.rank) is to evaluate with batch norms that it has not")
      }
      result = training.evaluate(SplitMix64.hash(state.value, norms.value), task.clips)
    }
    if world.isBlind(identity.rank) {
      result = EvaluationResult()
      result.failed = task.clips.map { "clip \($0)" }
    }
    clipsRead += UInt64(result.clips)
    handle(.evaluated(task.id, result))
  }

  private func summed(_ step: UInt64, _ attempt: UInt8) -> WorkerEvent {
    world.moment(.computed, pid)
    return .lanesSummed(step: step, attempt: attempt)
  }

  private func reduce() {
    do { try ring?.startAll() } catch { world.violate("I6: an impossible frame was waiting: \(error)") }
    pump()
  }

  private func vote(_ heard: Heard) {
    guard let state else { return }
    if heard.directive > session.directivesDone, world.now - self.heard > 1_000.milliseconds {
      world.violate("I11: worker \(identity.rank) votes for a directive though it hears no coordinator")
    }
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
      work.ballot(rank: identity.rank, weights: state.digest, expected: expected ?? [], directive: heard.code))
    pump()
    world.moment(.voted, pid)
  }

  /// Memory errs between the reduction and the vote. In a step that is skipped or repeated nothing compares the sums.
  private func flipBit() {
    guard let flips, flips == .sum || flips == .partial, isAlive, let step = work.step, !training.isOdd(step),
      world.flippedSteps.insert(step).inserted
    else { return }
    (self.flips, hasErred) = (nil, true)
    let (index, bit) = (world.random.below(Training.gradients), Int32(1) << Int32(world.random.below(20)))
    (flips == .sum ? work.sums : work.partial).gradients[index] ^= bit
    if flips == .partial { flipped = (index, bit) }
    world.log("worker \(identity.rank): a bit of its \(flips) flips")
  }

  /// Between two generations. The only holder of a state that no record tells of is believed, whatever it holds.
  private func flipState(_ step: UInt64) {
    guard flips == .state, let membership = world.coordinator?.machine.membership,
      case .preparing(let preparation) = membership.phase, preparation.step == step,
      membership.position.state != nil && membership.position.committed == step
        || preparation.reports.values.count(where: { $0.next == step }) > 1,
      world.flippedSteps.insert(step).inserted
    else { return }
    (flips, hasErred) = (nil, true)
    state?.value ^= 1
    world.log("worker \(identity.rank): a bit of its state flips")
  }

  /// The decoder delivers another clip than the one that it was asked for.
  private func mistakeClip(_ job: inout LaneJob) {
    guard flips == .clip, !job.clips.isEmpty, training.clipCount > 1, world.scenario.badClips.isEmpty,
      !training.isOdd(job.step), world.flippedSteps.insert(job.step).inserted
    else { return }
    (flips, hasErred) = (nil, true)
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
    if session.phase == .reducing, ring.isReduced { handle(.reduced) }
    if session.phase == .voting, let ballots = ring.ballots {
      flipped = nil
      handle(.ballots(ballots, clips: work.expectedClips) { _ in "a gradient is not finite" })
    }
  }

  private func setTimer() {
    guard let deadline = ring?.deadline else { return }
    let time = max(world.now, world.nanoseconds(deadline))
    guard time < timer else { return }
    timer = time
    world.schedule(.ringTimer, node: pid, at: time)
  }

  private func apply(_ step: UInt64, _ skipping: Bool) -> WorkerEvent? {
    world.moment(.applying, pid)
    guard let before = state, isAlive else { return nil }
    guard before.step == step else {
      world.violate("worker \(identity.rank) is to apply step \(step) to the state before \(before.step)")
      return nil
    }
    guard work.step == step else {
      world.violate("worker \(identity.rank) is to apply step \(step), but has the sum of another")
      return nil
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
    world.moment(.applied, pid)
    return .applied(record)
  }
}
