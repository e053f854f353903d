// The worker's event loop: it turns what arrives into events, and performs the effects that the machine decides on. It
// decides nothing itself; effects are in WorkerLoop+Effects.swift, a step's in WorkerLoop+Step.swift.
import BLVNet
import Checkpoint
import Foundation
import Logging
import Messaging
import Ring
import Shared
import Training
import Wire
import WorkerCore

/// One worker process's life. Everything here belongs to the thread that calls `run`.
final class WorkerLoop {
  struct Settings {
    var identity: WorkerIdentity
    var coordinator: Endpoint
    /// Nil in a run without keys.
    var keys: WorkerKeys?
    var listen: Endpoint
    /// What peers are told to connect to, if not where this worker listens.
    var advertise: String?
    var threads: ComputeThreads
    var dataPath: String?
    /// The folder for files from the web.
    var cache: String?
  }

  /// What exists once the coordinator has welcomed this worker.
  struct Training {
    let context: RunContext
    let state: TrainingState
    let work: GradientWork
    let pool: LanePool
    let feed: ClipFeed
    let probe: DataProbe

    /// Of the present state.
    var model: EvaluatedModel? { EvaluatedModel(parameters: state.parameters, statistics: state.statistics) }
  }

  let settings: Settings
  let log: Logger
  private var machine: WorkerMachine
  let link: CoordinatorLink
  let peers: PeerLinks
  let heartbeat: Heartbeat
  let wakeup: Wakeup
  private let signals: SignalSource
  private let start = ContinuousClock.now
  private var isInputOpen = true
  private var reading = ReadWatch()
  private var dropped = 0
  /// Bytes of blobs that were handed over.
  var served: UInt64 = 0
  var leaving: (reason: String, clean: Bool)?

  var training: Training?
  /// What is evaluated in place of the present state and its running statistics.
  var beside: EvaluatedModel?
  // What exists while a generation runs.
  var ring: RingSession?
  var clock = StepClock()
  /// The link's trials that were logged.
  var loggedPace: LinkPace.Choice?
  /// The generation in which it was logged that the right neighbour reads memory.
  var loggedMemory: UInt32?

  // Blobs that are served, and those that are being fetched.
  var blobs = BlobStore()
  var incoming = IncomingBlobs(indexesIn: NSTemporaryDirectory())

  var session: WorkerSession { machine.session }

  init(_ settings: Settings, log: Logger) throws {
    self.settings = settings
    self.log = log
    machine = WorkerMachine(identity: settings.identity)
    let messaging = try MessagingContext(
      settings.keys.map { .keys(own: $0.own, admitted: AdmittedKeys()) } ?? .none)
    let coordinator = CoordinatorPlace(endpoint: settings.coordinator, key: settings.keys?.coordinator)
    let wakeup = try Wakeup()
    self.wakeup = wakeup
    signals = try SignalSource([SIGTERM, SIGINT])
    link = try CoordinatorLink(messaging, coordinator, settings.identity)
    peers = try PeerLinks(messaging, settings.identity, listen: settings.listen)
    heartbeat = Heartbeat(messaging, coordinator, settings.identity) { wakeup.signal() }
  }

  /// Works until the coordinator dismisses this worker.
  /// - Throws: what made it leave otherwise: no coordinator, a refusal, a broken socket.
  func run() throws {
    var tick = ContinuousClock.now
    while leaving == nil {
      let now = ContinuousClock.now
      if now >= tick {
        let unread = training.flatMap {
          reading.stalled(progress: $0.feed.progress, isAwaited: $0.pool.isAwaitingClips, at: now)
        }
        try handle(.tick(unacknowledged: ring?.unacknowledgedSince.map { now - $0 }, unread: unread))
        tick = now + .seconds(1)
      }
      var items = [PollItem(link.socket), PollItem(wakeup), PollItem(signals)]
      if isInputOpen { items.append(PollItem(descriptor: STDIN_FILENO)) }
      items += peers.pollItems
      let until = min(tick, ring?.deadline ?? tick)
      let events = try Poller.wait(for: items, timeout: max(.zero, until - ContinuousClock.now))
      if isInputOpen, !events[3].isEmpty { try readInput() }
      for _ in signals.take() { try handle(.askedToLeave) }
      wakeup.clear()
      try takeControl()
      for run in heartbeat.questions.take() { try handle(.askedForIdentity(run: run)) }
      try takePeers()
      try startBuckets()
      try takeLanes()
      try pump()
      if try peers.rightWasClosed() { try handle(.rightClosed) }
      showProgress()
    }
    // Libraries are taken down at exit: no thread may be inside one.
    training?.pool.cancelAll()
    guard let leaving, leaving.clean else {
      throw SharedError(.unavailable, "worker \(settings.identity.rank): \(leaving?.reason ?? "left")")
    }
    log.info("leaving: \(leaving.reason)")
  }

  /// Gives an event to the machine, and performs what follows; then what follows from that.
  func handle(_ event: WorkerEvent) throws {
    var events = [event]
    while !events.isEmpty {
      for effect in machine.step(events.removeFirst(), at: ContinuousClock.now - start) {
        if let answer = try perform(effect) { events.append(answer) }
      }
    }
  }

  // MARK: What arrives

  /// At most so many messages in a round: signals and ticks must not wait for ever.
  private static let messagesAtOnce = 256

  private func takeControl() throws {
    for _ in 0..<Self.messagesAtOnce {
      guard let (message, bytes) = try link.receive(drop: drop) else { return }
      incoming.payload = bytes
      try handle(.message(message, payload: bytes?.count))
      incoming.payload = nil
    }
  }

  private func takePeers() throws {
    var fromLeft: [FrameMessage] = []
    while let arrival = try peers.next(drop: drop) {
      switch arrival {
      case .fromLeft(let message): fromLeft.append(message)
      case .fromRight(let message): ring?.receiveFromRight(message, now: .now)
      case .request(let request, let peer): try handle(.peerRequest(request, peer: peer))
      case .piece(let piece, let bytes):
        incoming.payload = bytes
        try handle(.peerPiece(piece, payload: bytes?.count))
        incoming.payload = nil
      }
    }
    if !fromLeft.isEmpty { try ring?.receiveFromLeft(fromLeft, now: .now) }
  }

  private func takeLanes() throws {
    guard let training else { return }
    for event in training.pool.events() {
      switch event {
      case .finished(let job, let times, let clips):
        training.work.finished(job, times, clips: clips)
        if training.work.step == job.step, training.work.isComplete(session.lanes) { try lanesSummed() }
      case .failed(let job, let text, let clip):
        training.work.failed(job)
        try handle(.laneFailed(step: job.step, lane: job.lane, clip: clip, reason: text))
      case .evaluated(let task, let result): try handle(.evaluated(task, result))
      case .tested(let selfTest, let dataLost):
        log.info("self-test: \(selfTest)")
        try handle(.ready(selfTest, training.context.rules, dataLost: dataLost))
      }
    }
    for outcome in training.probe.outcomes.take() {
      try handle(.probed(reads: outcome.reads, clip: outcome.clip, reason: outcome.reason))
    }
  }

  private func drop(_ reason: String) {
    dropped += 1
    log.warning("dropped message \(dropped): \(reason)")
  }

  private func readInput() throws {
    var bytes = [UInt8](repeating: 0, count: 256)
    guard unsafe read(STDIN_FILENO, &bytes, bytes.count) <= 0 else { return }
    isInputOpen = false
    try handle(.inputClosed)
  }

  /// Leaves with the heartbeat's thread what tells a hang from slowness.
  private func showProgress() {
    var counts = WorkCounts()
    counts.lanesDone = training?.work.summed.count ?? 0
    counts.tensors = training?.pool.tensors ?? 0
    counts.read = training?.pool.read ?? 0
    counts.served = served
    counts.received = UInt64(ring?.counters.bytesReceived ?? 0)
    counts.waitsFor = ring?.waitsFor
    let progress = machine.progress(counts)
    heartbeat.update { $0 = progress }
  }
}

extension RunContext {
  /// What the recipe says about a worker's conduct.
  var rules: RunRules {
    var rules = RunRules { [self] in isCheckpoint($0) }
    rules.limits = MessageLimits(
      lanes: recipe.batch.lanes, clips: recipe.data.balanced ? Int(Int32.max) : train.clips.count,
      validationClips: validation.clips.count,
      lastStep: MessageLimits.count)
    rules.isValidated = { [self] in isValidated($0) }
    rules.skipsNonFinite = recipe.exchange.nonFinite == .skip
    rules.orphanAfter = .seconds(recipe.faults.orphanSeconds)
    rules.linkAfter = .seconds(recipe.faults.linkSeconds)
    // Sooner than the coordinator takes the worker for hung.
    rules.readAfter = .seconds(min(30, recipe.faults.hangSeconds / 2))
    rules.pulseWithin = .seconds(3 * recipe.faults.heartbeatSeconds)
    rules.reconnectAfter = .seconds(recipe.faults.evictSeconds)
    return rules
  }
}
