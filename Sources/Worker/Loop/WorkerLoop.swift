// The worker's event loop: waits for messages, lanes and time, passes them to the session, carries out what it says.
import BLVNet
import Checkpoint
import Foundation
import Logging
import Messaging
import Ring
import Shared
import Training

/// One worker process's life. Everything here belongs to the thread that calls `run`.
final class WorkerLoop {
  struct Settings {
    var identity: WorkerIdentity
    var coordinator: Endpoint
    var listen: Endpoint
    /// What peers are told to connect to, if not where this worker listens.
    var advertise: String?
    var threads: ComputeThreads
    var dataPath: String?
  }

  let settings: Settings
  let log: Logger
  var session: WorkerSession
  let link: CoordinatorLink
  let peers: PeerLinks
  let heartbeat: Heartbeat
  private let wakeup: Wakeup
  private let signals: SignalSource
  private var askedToLeave = false
  private var leaving: (reason: String, clean: Bool)?
  private var heard = ContinuousClock.now
  private var inputClosed = false
  private var orphanAfter = Duration.seconds(60)
  private var silentAfter = Duration.seconds(3)
  private var pulseWithin = Duration.milliseconds(750)
  /// Whether the coordinator was heard just now: it answers each heartbeat.
  var isDirected: Bool { ContinuousClock.now - heard < pulseWithin }
  private var dropped = 0
  /// Bytes of checkpoints that were handed over.
  private var served: UInt64 = 0
  /// The newest evaluation task, and what came of it.
  private var evaluated: (task: Int, result: EvaluationResult?)?

  // What exists once the coordinator has welcomed this worker.
  var context: RunContext?
  var state: TrainingState?
  var work: GradientWork?
  var pool: LanePool?
  var feed: ClipFeed?
  // What exists while a generation runs.
  var ring: RingSession?
  var clock = StepClock()
  /// The link's trials that were told of.
  var toldPace: LinkPace.Choice?
  /// The generation in which it was said that the right neighbour reads memory.
  var toldMemory: UInt32?
  /// The scales of the next attempt at the step in flight.
  var raised: [Int32] = []

  // Blobs that are being fetched, and those that are served.
  var fetch: Fetch?
  var welcome: Welcome?
  var shelf = BlobShelf()
  var pendingCheckpoints: [UInt64: [BlobDescription]] = [:]

  init(_ settings: Settings, log: Logger) throws {
    self.settings = settings
    self.log = log
    session = WorkerSession(identity: settings.identity)
    let messaging = try MessagingContext()
    wakeup = try Wakeup()
    signals = try SignalSource([SIGTERM, SIGINT])
    link = try CoordinatorLink(messaging, settings.coordinator, settings.identity)
    peers = try PeerLinks(messaging, listen: settings.listen)
    heartbeat = Heartbeat(messaging, settings.coordinator, settings.identity)
  }

  /// Works until the coordinator dismisses this worker.
  /// - Throws: what made it leave otherwise: no coordinator, a refusal, a broken socket.
  func run() throws {
    var tick = ContinuousClock.now
    while leaving == nil {
      let now = ContinuousClock.now
      if now >= tick {
        try repeatUnanswered()
        try checkRightLink(now)
        try checkOrphaned(now)
        tick = now + .seconds(1)
      }
      var items = [PollItem(link.socket), PollItem(wakeup), PollItem(signals)]
      if !inputClosed { items.append(PollItem(descriptor: STDIN_FILENO)) }
      items += peers.pollItems
      let until = min(tick, ring?.deadline ?? tick)
      let events = try Poller.wait(for: items, timeout: max(.zero, until - ContinuousClock.now))
      if !inputClosed, !events[3].isEmpty { readInput() }
      try takeSignals()
      wakeup.clear()
      try takeControl()
      try takePeers()
      try startBuckets()
      try takeLanes()
      try pump()
      try tellOfClosedLink()
      showProgress()
    }
    // Libraries are taken down at exit: no thread may be inside one.
    pool?.giveUp()
    guard let leaving, leaving.clean else {
      throw SharedError(.unavailable, "worker \(settings.identity.rank): \(leaving?.reason ?? "left")")
    }
    log.info("leaving: \(leaving.reason)")
  }

  // MARK: What arrives

  private func takeControl() throws {
    while let (message, payload) = try link.receive(drop: drop) {
      heard = .now
      switch message {
      case .blobPiece(let piece): try took(piece, payload)
      case .blobRequest(let request):
        let (piece, bytes) = shelf.answer(request)
        served += UInt64(bytes?.count ?? 0)
        try link.send(.blobPiece(piece), payload: bytes)
      default: try perform(session.receive(message))
      }
    }
  }

  private func takePeers() throws {
    var fromLeft: [FrameMessage] = []
    while let arrival = try peers.next(drop: drop) {
      switch arrival {
      case .fromLeft(let message): fromLeft.append(message)
      case .fromRight(let message): ring?.receiveFromRight(message, now: .now)
      case .request(let request, let peer):
        try shelveForPeers(request.name)
        let (piece, bytes) = shelf.answer(request)
        try peers.answer(peer, piece, bytes)
      case .piece(let piece, let payload): try took(piece, payload)
      }
    }
    if !fromLeft.isEmpty { try ring?.receiveFromLeft(fromLeft, now: .now) }
  }

  private func takeLanes() throws {
    for event in pool?.events() ?? [] {
      switch event {
      case .finished(let job, let times):
        work?.finished(job, times)
        if let work, work.step == job.step, work.isComplete(session.lanes) { try lanesComplete() }
      case .failed(let job, let text, let clip):
        work?.failed(job)
        guard job.step == session.next else { continue }
        try perform(
          session.failed(
            Fault(
              kind: clip.map { .clip(lane: job.lane, clip: $0) } ?? .other, generation: session.number, step: job.step,
              text: text, status: clip == nil ? .failed : .badData)))
      case .evaluated(let task, let result):
        evaluated = (task, result)
        try link.send(.evaluated(task: task, result))
      case .tested(let selfTest):
        guard let context else { continue }
        log.info("self-test: \(selfTest)")
        try perform(session.indexed(selfTest: selfTest) { context.isCheckpoint($0) })
      }
    }
  }

  /// A task that comes again is answered again, but computed once.
  private func evaluate(_ task: EvaluationTask) throws {
    if let evaluated, evaluated.task == task.task {
      if let result = evaluated.result { try link.send(.evaluated(task: task.task, result)) }
      return
    }
    evaluated = (task.task, nil)
    if let state { pool?.submit(task, statistics: state.statistics) }
  }

  private func drop(_ reason: String) {
    dropped += 1
    log.warning("dropped message \(dropped): \(reason)")
  }

  // MARK: Time

  private func repeatUnanswered() throws {
    if session.phase == .joining { try sendHello() }
    for message in session.unanswered() { try link.send(message) }
    for (step, blobs) in pendingCheckpoints { try link.send(.checkpointReady(step: step, blobs: blobs)) }
    if let fetch { try ask(fetch) }
  }

  /// Tells the coordinator where the right neighbour acknowledges nothing: it knows whether that one is alive.
  private func checkRightLink(_ now: ContinuousClock.Instant) throws {
    guard let ring, let since = ring.unacknowledgedSince, now - since > silentAfter, let generation = session.generation
    else { return }
    let rank = generation.members[ring.plan.right].identity.rank
    let text = "worker \(rank) has acknowledged nothing for \((now - since).components.seconds) s"
    log.warning("\(text)")
    try link.send(
      .fault(
        Fault(
          kind: .silentPeer(rank: rank), generation: session.number, step: session.next ?? 0, text: text,
          status: .unavailable)))
  }

  /// The first wish to end is granted at the next boundary, so that nothing has to be computed again; the second at
  /// once.
  private func takeSignals() throws {
    for _ in signals.take() {
      if askedToLeave { leaving = ("ended at once", false) }
      askedToLeave = true
      log.info("asked to end: leaving at the next boundary")
      try perform(session.askedToLeave())
    }
  }

  private func tellOfClosedLink() throws {
    guard peers.rightWasClosed(), let ring, let generation = session.generation else { return }
    let rank = generation.members[ring.plan.right].identity.rank
    log.warning("the connection to worker \(rank) was closed")
    try link.send(
      .fault(
        Fault(
          kind: .closedLink(rank: rank), generation: session.number, step: session.next ?? 0,
          text: "the connection to worker \(rank) was closed", status: .unavailable)))
  }

  private func readInput() {
    var bytes = [UInt8](repeating: 0, count: 256)
    if unsafe read(STDIN_FILENO, &bytes, bytes.count) <= 0 { inputClosed = true }
  }

  private func checkOrphaned(_ now: ContinuousClock.Instant) throws {
    guard inputClosed, now - heard > orphanAfter else { return }
    throw SharedError(
      .unavailable,
      "worker \(settings.identity.rank): no coordinator was heard at \(settings.coordinator) for \(orphanAfter); "
        + "check that it runs and can be reached")
  }

  private func sendHello() throws {
    try link.send(
      .hello(
        Hello(
          host: ProcessInfo.processInfo.hostName, pid: ProcessInfo.processInfo.processIdentifier,
          threads: settings.threads.all, endpoint: settings.advertise ?? peers.endpoint.description,
          fingerprint: Fingerprint.own, past: session.past)))
  }

  // MARK: What the session wants

  func perform(_ actions: [WorkerSession.Action]) throws {
    for action in actions {
      switch action {
      case .send(let message): try link.send(message)
      case .introduce: try sendHello()
      case .fetchIndexes(let welcome): try fetchIndexes(welcome)
      case .openRing(let generation): try openRing(generation)
      case .closeRing:
        ring?.abort()
        ring = nil
        peers.close()
        // A state that was wanted for a generation that will not be.
        if fetch?.purpose != nil { fetch = nil }
      case .discardSums:
        pool?.giveUp()
        work?.forget()
      case .compute(let step, let attempt, let lanes): try compute(step, attempt, lanes)
      case .reduce: try reduce()
      case .vote(let directive): try vote(directive)
      case .apply(let step, let skipping): try apply(step, skipping: skipping)
      case .obtain(let source, let generation, let step): try obtain(source, generation, step)
      case .shelve(let step): try shelveCheckpoint(step)
      case .takenCheckpoint(let step): takenCheckpoint(step)
      case .evaluate(let task): try evaluate(task)
      case .leave(let reason, let clean): leaving = (reason, clean)
      }
    }
  }

  /// Leaves with the heartbeat's thread what tells a hang from slowness.
  private func showProgress() {
    heartbeat.update { progress in
      progress.generation = session.generation?.number ?? 0
      progress.step = session.next ?? 0
      progress.attempt = session.attempt
      progress.phase = session.phase.progress
      progress.lanesDone = work?.summed.count ?? 0
      progress.work = (pool?.moved ?? 0) &+ UInt64(fetch?.bytes ?? 0) &+ served
      progress.ringFrames = UInt64(ring?.counters.bytesReceived ?? 0)
      progress.waitingFor = ring.flatMap { $0.waitsFor }.flatMap { session.generation?.members[$0].identity.rank }
    }
  }

  /// The indexes are here: everything that a run needs is made.
  func begin(_ recipe: Recipe, train: Data, validation: Data, lastStep: UInt64) throws {
    let context = try RunContext(
      recipe: recipe, train: train, validation: validation, lastStep: lastStep, dataPath: settings.dataPath)
    let state = TrainingState(context)
    let work = GradientWork(context)
    let feed = ClipFeed(context, threads: recipe.data.decodeThreads, lanes: recipe.batch.lanes)
    (self.context, self.state, self.work, self.feed) = (context, state, work, feed)
    pool = LanePool(
      context, threads: settings.threads, accumulator: work.accumulator, parameters: state.parameters, feed: feed
    ) { [wakeup] in wakeup.signal() }
    orphanAfter = .seconds(recipe.faults.orphanSeconds)
    silentAfter = .seconds(recipe.faults.linkSeconds)
    pulseWithin = .seconds(3 * recipe.faults.heartbeatSeconds)
    heartbeat.set(.seconds(recipe.faults.heartbeatSeconds))
    log.info("\(train.count + validation.count) bytes of indexes, \(context.network.layout.parameterCount) parameters")
    pool?.submitSelfTest()
  }
}

extension WorkerSession.Phase {
  /// What heartbeats call it.
  var progress: Shared.Progress.Phase {
    switch self {
    case .joining, .waiting, .halted, .standing, .faulted: .idle
    case .preparing, .prepared: .preparing
    case .computing: .computing
    case .reducing: .reducing
    case .voting: .voting
    }
  }
}
