// Every decision of a worker: an event and a time go in, effects come out. It opens nothing and reads no clock.
// `WorkerSession` is its part in the protocol. Here is what lies around that: blobs, connections, data, leaving.
import Ring
import Shared
import Wire

/// A task of an evaluation.
struct Evaluation {
  let task: EvaluationTask
  /// Of the last try in which clips failed.
  var tried: EvaluationResult?
  /// Nil while it is being computed.
  var result: EvaluationResult?
}

/// One worker process.
package struct WorkerMachine {
  package let identity: WorkerIdentity
  package internal(set) var session: WorkerSession
  var rules: RunRules?
  var welcome: Welcome?
  var fetch: StateFetch?
  /// Copies for checkpoints that the coordinator has not taken yet; nil while a copy is being encoded.
  var pendingCheckpoints: [UInt64: [BlobDescription]?] = [:]
  /// The step whose state peers can fetch once it is encoded, and the peers that asked too early.
  var published: (step: UInt64, isReady: Bool)?
  var waitingPeers: [(request: BlobRequest, peer: Int)] = []
  /// The evaluation tasks of the present state.
  var evaluations: [EvaluationTask.ID: Evaluation] = [:]
  /// What the present evaluation needs besides the state: it is fetched, or here.
  var beside: (blobs: [String], isLoaded: Bool)?
  /// Exponents of the next attempt.
  var raised: [RaisedExponent] = []
  /// Why none of this worker's data can be read, while that is so.
  internal(set) package var dataLost: String? { didSet { if dataLost != oldValue { dataReport += 1 } } }
  var dataReport = 0
  /// The lanes that failed on a clip, until a probe has shown whether the clip is to blame. Probed one after the other.
  var suspects: [(step: UInt64, lane: Int, clip: Int, reason: String)] = []
  /// Evaluation tasks in which clips failed, until a probe has shown whether the clips are to blame.
  var doubtful: [(task: EvaluationTask.ID, result: EvaluationResult)] = []
  private var link = LinkLiveness()
  private var refusals = RefusalCounter()
  private var wasAskedToLeave = false
  private var isInputClosed = false
  private var now = Duration.zero
  var effects: [WorkerEffect] = []

  package init(identity: WorkerIdentity) {
    self.identity = identity
    session = WorkerSession(identity: identity)
  }

  /// The content of a heartbeat.
  package func progress(_ counts: WorkCounts) -> Progress {
    var progress = Progress()
    progress.generation = session.generation?.number ?? 0
    progress.step = session.next ?? 0
    progress.attempt = session.attempt
    progress.phase = session.phase.progress
    progress.lanesDone = counts.lanesDone
    progress.work = counts.tensors &+ counts.read &+ counts.served &+ UInt64(fetch?.blobs.bytes ?? 0)
    progress.ringBytes = counts.received
    progress.waitingFor = counts.waitsFor.flatMap { place in
      session.generation.flatMap { $0.members.indices.contains(place) ? $0.members[place].identity.rank : nil }
    }
    progress.dataLost = dataLost
    progress.dataReport = dataReport
    return progress
  }

  /// Decides what follows from an event.
  /// - Parameter now: time on a clock that never goes back.
  /// - Returns: what is to be done, in this order.
  package mutating func step(_ event: WorkerEvent, at now: Duration) -> [WorkerEffect] {
    self.now = now
    effects = []
    decide(event)
    defer { effects = [] }
    return effects
  }

  mutating func decide(_ event: WorkerEvent) {
    switch event {
    case .message(let message, let payload): receive(message, payload)
    case .peerRequest(let request, let peer): serve(request, peer)
    case .peerPiece(let piece, let payload): took(piece, payload)
    case .tick(let unacknowledged, let unread): tick(unacknowledged, unread)
    case .rightClosed:
      guard let rank = rightRank else { return }
      let text = "the connection to worker \(rank) was closed"
      effects.append(.log(.warning, text))
      report(.closedLink(rank: rank), text)
    case .askedForIdentity(let run): ask { $0.receive(.identify(run: run)) }
    case .askedToLeave:
      // The first wish is granted at the next boundary, so that nothing is computed again; the second at once.
      if wasAskedToLeave { return leave("ended at once", clean: false) }
      wasAskedToLeave = true
      effects.append(.log(.info, "asked to end: leaving at the next boundary"))
      ask { $0.askedToLeave() }
    case .inputClosed: isInputClosed = true
    case .ready(let selfTest, let rules, let dataLost):
      self.rules = rules
      self.dataLost = dataLost
      link.limit = rules.reconnectAfter
      ask { $0.indexed(selfTest: selfTest, isCheckpoint: rules.isCheckpoint, isValidated: rules.isValidated) }
    case .damaged(let reason):
      effects.append(.log(.warning, "\(reason); fetching it again"))
      fetch?.blobs.restart()
      askForPieces()
    case .obtained(let step, let weights):
      let number = session.number
      ask { $0.obtained(generation: number, step: step, weights: weights) }
    case .published(let step, let blobs): didPublish(step, blobs)
    case .lanesSummed(let step, let attempt): ask { $0.computed(step: step, attempt: attempt) }
    case .laneFailed(let step, let lane, let clip, let reason): failed(step, lane, clip, reason)
    case .probed(let reads, let clip, let reason): probed(reads, clip, reason)
    case .reduced: ask { $0.reduced() }
    case .ballots(let ballots, let clips, let describe): decide(ballots, clips, describe)
    case .applied(let record): ask { $0.applied(record) }
    case .besideLoaded: beside?.isLoaded = true
    case .evaluated(let task, let result):
      // It was cancelled meanwhile, or is done.
      guard let known = evaluations[task], known.result == nil else { return }
      // Another state is evaluated by now. If this is asked for again, it is computed again.
      guard isAtHand(known.task) else { return evaluations[task] = nil }
      if result.failed.isEmpty { return finish(task, result) }
      doubtful.append((task, result))
      effects.append(.probe(clip: nil))
    }
  }

  // MARK: Messages and ticks

  private mutating func receive(_ message: CoordinatorMessage, _ payload: Int?) {
    link.heard(at: now)
    if let problem = message.problem(in: rules?.limits ?? .anyRun) {
      if let text = refusals.count("coordinator's", problem, at: now) { effects.append(.log(.warning, text)) }
      return
    }
    switch message {
    case .blobPiece(let piece): took(piece, payload)
    case .blobRequest(let request): effects.append(.serve(request, peer: nil))
    case .prepare(let number, _, _, let peers):
      effects.append(.admit(peers, generation: number))
      ask { $0.receive(message) }
    default: ask { $0.receive(message) }
    }
  }

  private mutating func tick(_ unacknowledged: Duration?, _ unread: Duration?) {
    if session.phase == .joining { introduce() }
    for message in session.unanswered() { send(message) }
    if dataLost != nil || !suspects.isEmpty || !doubtful.isEmpty { effects.append(.probe(clip: suspects.first?.clip)) }
    if dataLost == nil, let rules, let unread, unread > rules.readAfter {
      lose("nothing was read for \(unread.components.seconds) s")
    }
    for step in pendingCheckpoints.keys.sorted() {
      if case .some(.some(let blobs)) = pendingCheckpoints[step] {
        effects.append(.send(.checkpointReady(step: step, blobs: blobs)))
      }
    }
    // An answer may be lost, or the source not be ready.
    ask(for: fetch?.blobs.repeatedRequests() ?? [])
    if let rules, let unacknowledged, unacknowledged > rules.linkAfter, let rank = rightRank {
      let text = "worker \(rank) has acknowledged nothing for \(unacknowledged.components.seconds) s"
      effects.append(.log(.warning, text))
      // The coordinator knows whether that worker is alive.
      report(.silentPeer(rank: rank), text)
    }
    if isInputClosed, now - link.lastHeard > rules?.orphanAfter ?? .seconds(60) {
      return leave("no coordinator was heard for \((now - link.lastHeard).components.seconds) s", clean: false)
    }
    if let number = link.reconnect(at: now) {
      effects.append(.connect(number))
      introduce()
    }
  }

  mutating func send(_ message: WorkerMessage) {
    var message = message
    if case .standing(var report) = message {
      report.dataLost = dataLost
      report.dataReport = dataReport
      message = .standing(report)
    }
    effects.append(.send(message))
  }

  private mutating func introduce() { effects.append(.introduce(past: session.past)) }

  private mutating func leave(_ reason: String, clean: Bool) {
    effects.append(.leave(reason: reason, clean: clean))
  }

  /// The rank of the right neighbour in the ring, if there is one.
  private var rightRank: Int? {
    guard let members = session.generation?.members, members.count > 1,
      let own = members.firstIndex(where: { $0.identity == identity })
    else { return nil }
    return members[(own + 1) % members.count].identity.rank
  }

  mutating func report(_ kind: Fault.Kind, _ text: String) {
    effects.append(
      .send(
        .fault(
          Fault(
            kind: kind, generation: session.number, step: session.next ?? 0, text: text, status: .unavailable))))
  }

  // MARK: The session's actions

  mutating func ask(_ decide: (inout WorkerSession) -> [WorkerSession.Action]) {
    for action in decide(&session) {
      switch action {
      case .send(let message): send(message)
      case .introduce: introduce()
      case .fetchIndexes(let welcome):
        self.welcome = welcome
        start(StateFetch(indexes: welcome.blobs.map(\.name)))
      case .openRing(let generation): effects.append(.openRing(generation))
      case .closeRing:
        effects.append(.closeRing)
        // A state that was wanted for a generation that will not be.
        if fetch?.purpose != .indexes { fetch = nil }
        if beside?.isLoaded == false { beside = nil }
      case .discardSums: effects.append(.discardSums)
      case .compute(let step, let attempt, let lanes):
        suspects = []
        forgetEvaluations()
        withdrawForPeers()
        effects.append(.compute(step: step, attempt: attempt, lanes: lanes, raised: attempt == 0 ? [] : raised))
      case .reduce: effects.append(.reduce)
      case .vote(let directive):
        // Do not vote for a directive that stops all ranks while disconnected from the coordinator.
        let isDirected = now - link.lastHeard < rules?.pulseWithin ?? .zero
        let heard = Heard(directive: isDirected ? directive : session.directivesDone, coordinator: isDirected)
        effects.append(.vote(heard))
      case .apply(let step, let skipping): effects.append(.apply(step: step, skipping: skipping))
      case .obtain(let source, _, let step): obtain(source, step)
      case .publishCheckpoint(let step, let isAwaited): publishCheckpoint(step, isAwaited: isAwaited)
      case .takenCheckpoint(let step):
        // One that is to be evaluated is needed by itself.
        pendingCheckpoints = pendingCheckpoints.filter {
          $0.key > step || ($0.key < step && rules?.isValidated($0.key) ?? false)
        }
        withdraw()
      case .evaluate(let task): evaluate(task)
      case .leave(let reason, let clean): leave(reason, clean: clean)
      }
    }
  }

  /// Computes a task once, and answers it as often as it comes.
  mutating func evaluate(_ task: EvaluationTask) {
    if let known = evaluations[task.id] {
      if let result = known.result { effects.append(.send(.evaluated(task.id, result))) }
      return
    }
    // The task comes again.
    if !isAtHand(task) { return fetchBeside(task.id.step, task.blobs) }
    evaluations[task.id] = Evaluation(task: task)
    effects.append(.evaluate(task))
  }

  /// Whether all that the task needs besides the state is here.
  func isAtHand(_ task: EvaluationTask) -> Bool {
    task.blobs.isEmpty || (beside?.blobs == task.blobs && beside?.isLoaded == true)
  }

  private mutating func fetchBeside(_ step: UInt64, _ blobs: [String]) {
    guard beside?.blobs != blobs else { return }
    beside = (blobs, false)
    start(StateFetch(evaluated: step, blobs))
  }

  /// The state is about to change, and with it every result.
  mutating func forgetEvaluations() {
    evaluations = [:]
    if beside != nil { effects.append(.forgetBeside) }
    beside = nil
    doubtful = []
  }
}
