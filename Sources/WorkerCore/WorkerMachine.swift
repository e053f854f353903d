// Every decision of a worker: an event and a time go in, effects come out. It opens nothing and reads no clock.
// `WorkerSession` is its part in the protocol. Here is what lies around that: blobs, connections, data, leaving.
import Ring
import Shared
import Wire

/// A task of an evaluation.
private struct Evaluation {
  let task: EvaluationTask
  /// Of the last try in which clips failed.
  var tried: EvaluationResult?
  /// Nil while it is being computed.
  var result: EvaluationResult?
}

/// One worker process.
package struct WorkerMachine {
  package let identity: WorkerIdentity
  private(set) package var session: WorkerSession
  private var rules: RunRules?
  private var welcome: Welcome?
  private(set) var fetch: StateFetch?
  /// Copies for checkpoints that the coordinator has not taken yet; nil while a copy is being encoded.
  private var pendingCheckpoints: [UInt64: [BlobDescription]?] = [:]
  /// The step whose state peers can fetch once it is encoded, and the peers that asked too early.
  private var published: (step: UInt64, isReady: Bool)?
  private var waitingPeers: [(request: BlobRequest, peer: Int)] = []
  /// The evaluation tasks of the present state.
  private var evaluations: [EvaluationTask.ID: Evaluation] = [:]
  /// Exponents of the next attempt.
  private var raised: [RaisedExponent] = []
  /// Why none of this worker's data can be read, while that is so.
  private(set) package var dataLost: String? { didSet { if dataLost != oldValue { dataReport += 1 } } }
  private var dataReport = 0
  /// The lanes that failed on a clip, until a probe has shown whether the clip is to blame. Probed one after the other.
  private var suspects: [(step: UInt64, lane: Int, clip: Int, reason: String)] = []
  /// Evaluation tasks in which clips failed, until a probe has shown whether the clips are to blame.
  private var doubtful: [(task: EvaluationTask.ID, result: EvaluationResult)] = []
  private var link = LinkLiveness()
  private var refusals = RefusalCounter()
  private var wasAskedToLeave = false
  private var isInputClosed = false
  private var now = Duration.zero
  private var effects: [WorkerEffect] = []

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
    progress.ringFrames = counts.received
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

  private mutating func decide(_ event: WorkerEvent) {
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
      ask { $0.indexed(selfTest: selfTest, isCheckpoint: rules.isCheckpoint) }
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
    case .evaluated(let task, let result):
      // It was cancelled meanwhile, or is done.
      guard let known = evaluations[task], known.result == nil else { return }
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

  private mutating func send(_ message: WorkerMessage) {
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

  private mutating func report(_ kind: Fault.Kind, _ text: String) {
    effects.append(
      .send(
        .fault(
          Fault(
            kind: kind, generation: session.number, step: session.next ?? 0, text: text, status: .unavailable))))
  }

  // MARK: A step

  private mutating func failed(_ step: UInt64, _ lane: Int, _ clip: Int?, _ reason: String) {
    guard step == session.next else { return }
    guard let clip else {
      let fault = Fault(kind: .other, generation: session.number, step: step, text: reason)
      return ask { $0.failed(fault) }
    }
    // Is it the clip, or can nothing be read here?
    suspects.append((step, lane, clip, reason))
    if suspects.count == 1 { effects.append(.probe(clip: clip)) }
  }

  private mutating func probed(_ reads: Bool, _ clip: (number: Int, reads: Bool)?, _ reason: String) {
    guard reads else { return lose(reason) }
    if dataLost != nil {
      dataLost = nil
      effects.append(.log(.info, "the data can be read again"))
    }
    let tried = doubtful
    doubtful = []
    for (id, result) in tried { settle(id, result) }
    guard let suspect = suspects.first, let clip, clip.number == suspect.clip else { return }
    suspects.removeFirst()
    if let next = suspects.first { effects.append(.probe(clip: next.clip)) }
    guard suspect.step == session.next, session.phase == .computing else { return }
    // A fault that has passed, such as a mount that came back, shortens no lane.
    if clip.reads { return effects.append(.retry(step: suspect.step, lane: suspect.lane)) }
    let fault = Fault(
      kind: .clip(lane: suspect.lane, clip: suspect.clip), generation: session.number, step: suspect.step,
      text: suspect.reason, status: .badData)
    ask { $0.failed(fault) }
  }

  /// Nothing can be read here: other workers must compute this one's lanes.
  private mutating func lose(_ reason: String) {
    if dataLost == nil { effects.append(.log(.warning, "none of the data can be read: \(reason)")) }
    dataLost = reason
    suspects = []
    for done in doubtful { evaluations[done.task] = nil }
    doubtful = []
    guard session.phase == .computing, !session.lanes.isEmpty else { return }
    let fault = Fault(
      kind: .dataLost(report: dataReport), generation: session.number, step: session.next ?? 0, text: reason,
      status: .ioError)
    ask { $0.failed(fault) }
  }

  /// Some of a task's clips failed, though others can be read: it is computed until the same clips fail twice, so that
  /// whatever passed in the meantime changes no result.
  private mutating func settle(_ id: EvaluationTask.ID, _ result: EvaluationResult) {
    guard let evaluation = evaluations[id] else { return }
    if evaluation.tried == result { return finish(id, result) }
    evaluations[id]?.tried = result
    effects.append(.evaluate(evaluation.task))
  }

  private mutating func finish(_ task: EvaluationTask.ID, _ result: EvaluationResult) {
    evaluations[task]?.result = result
    effects.append(.send(.evaluated(task, result)))
  }

  private mutating func decide(_ ballots: [Ballot], _ clips: [Digest128], _ describe: ([NonFiniteGradient]) -> String) {
    guard session.phase == .voting, let step = session.next, let rules else { return }
    switch Verdict.of(ballots, clips: clips) {
    case .commit(let directive): ask { $0.agreed(directive: directive, skipping: false) }
    case .repeatStep(let entries):
      raised = entries
      effects.append(.log(.info, "step \(step): \(entries.count) scales were too small, once more"))
      ask { $0.repeatStep() }
    case .nonFinite(let found) where rules.skipsNonFinite:
      effects.append(.log(.warning, "step \(step) is skipped: \(describe(found))"))
      let directive = ballots.map(\.directive).min() ?? 0
      ask { $0.agreed(directive: directive, skipping: true) }
    case .nonFinite(let found): fail(.nonFiniteGradient, step, describe(found))
    case .corrupt(let suspects, let reason):
      let ranks = suspects.map { Int(ballots[$0].rank) }
      fail(.corruption(ranks: ranks), step, "step \(step): \(reason); suspected: ranks \(ranks)")
    }
  }

  private mutating func fail(_ kind: Fault.Kind, _ step: UInt64, _ text: String) {
    effects.append(.log(.error, text))
    let fault = Fault(kind: kind, generation: session.number, step: step, text: text, status: .badData)
    ask { $0.failed(fault) }
  }

  // MARK: The session's actions

  private mutating func ask(_ decide: (inout WorkerSession) -> [WorkerSession.Action]) {
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
        effects.append(.vote(directive: isDirected ? directive : session.directivesDone))
      case .apply(let step, let skipping): effects.append(.apply(step: step, skipping: skipping))
      case .obtain(let source, _, let step): obtain(source, step)
      case .publishCheckpoint(let step): publishCheckpoint(step)
      case .takenCheckpoint(let step):
        pendingCheckpoints = pendingCheckpoints.filter { $0.key > step }
        withdraw()
      case .evaluate(let task): evaluate(task)
      case .leave(let reason, let clean): leave(reason, clean: clean)
      }
    }
  }

  /// Computes a task once, and answers it as often as it comes.
  private mutating func evaluate(_ task: EvaluationTask) {
    if let known = evaluations[task.id] {
      if let result = known.result { effects.append(.send(.evaluated(task.id, result))) }
      return
    }
    evaluations[task.id] = Evaluation(task: task)
    effects.append(.evaluate(task))
  }

  /// The state is about to change, and with it every result.
  private mutating func forgetEvaluations() {
    evaluations = [:]
    doubtful = []
  }
}

// MARK: - Blobs

extension WorkerMachine {
  private mutating func obtain(_ source: StateSource, _ step: UInt64) {
    switch source {
    case .own: effects.append(.keepState(step: step))
    case .initial:
      withdrawAll()
      effects.append(.initialise)
    case .peer(let endpoint): start(StateFetch(step: step, peer: endpoint))
    case .coordinator: start(StateFetch(step: step, peer: nil))
    }
  }

  private mutating func start(_ wanted: StateFetch) {
    fetch = wanted
    if wanted.blobs.isComplete { fetched(wanted) } else { askForPieces() }
  }

  private mutating func askForPieces() {
    guard let requests = fetch?.blobs.requests() else { return }
    ask(for: requests)
  }

  private mutating func ask(for requests: [BlobRequest]) {
    for request in requests { effects.append(.ask(request, peer: fetch?.peer)) }
  }

  private mutating func took(_ piece: BlobPiece, _ payload: Int?) {
    guard let outcome = fetch?.blobs.take(piece, bytes: payload) else { return }
    switch outcome {
    case .ignored: return
    case .next(let keepsPayload):
      if keepsPayload { effects.append(.keep(piece)) }
      askForPieces()
    case .failed(let reason):
      effects.append(.log(.warning, "\(reason); fetching it again"))
      fetch?.blobs.restart()
      askForPieces()
    case .complete:
      effects.append(.keep(piece))
      if let fetch { fetched(fetch) }
    }
  }

  private mutating func fetched(_ done: StateFetch) {
    let blobs = done.blobs.descriptions
    switch done.purpose {
    case .indexes:
      guard let welcome else { return }
      effects.append(.begin(welcome, indexes: blobs))
    case .state(let step):
      guard blobs.count == 2 else { return }
      effects.append(.doneAsking)
      withdrawAll()
      effects.append(.load(step: step, model: blobs[0], trainer: blobs[1]))
    }
  }

  // MARK: Serving the state

  /// A peer asks for the present state: it is encoded once, for all who ask.
  private mutating func serve(_ request: BlobRequest, _ peer: Int) {
    if case .prepared(let step, _) = session.phase, published == nil || published?.step != step,
      request.name.hasPrefix(StateBlobs.prefix(step))
    {
      // The copy for a checkpoint will do, even while it is being encoded.
      let copy = pendingCheckpoints[step]
      if case .some(.some) = copy { published = (step, true) } else { published = (step, false) }
      if copy == nil { effects.append(.publish(step: step)) }
    }
    if let published, !published.isReady, request.name.hasPrefix(StateBlobs.prefix(published.step)) {
      // Answered once it is encoded. Peers ask again, so not all of their requests need be kept.
      if waitingPeers.count < 256 { waitingPeers.append((request, peer)) }
      return
    }
    effects.append(.serve(request, peer: peer))
  }

  private mutating func publishCheckpoint(_ step: UInt64) {
    // Do not pile up more copies while the coordinator has not taken the last but one.
    guard pendingCheckpoints.count < 2 || session.phase == .atBoundary(stopped: true), pendingCheckpoints[step] == nil
    else { return }
    pendingCheckpoints[step] = .some(nil)
    effects.append(.publish(step: step))
  }

  private mutating func didPublish(_ step: UInt64, _ blobs: [BlobDescription]) {
    if pendingCheckpoints[step] != nil {
      pendingCheckpoints[step] = .some(blobs)
      effects.append(.send(.checkpointReady(step: step, blobs: blobs)))
    }
    if published?.step == step {
      published = (step, true)
      for (request, peer) in waitingPeers { effects.append(.serve(request, peer: peer)) }
      waitingPeers = []
    }
    // Its state was replaced, or the step is over, while it was being encoded.
    if pendingCheckpoints[step] == nil, published?.step != step { withdraw() }
  }

  private mutating func withdrawForPeers() {
    guard published != nil else { return }
    published = nil
    waitingPeers = []
    withdraw()
  }

  /// Another's state replaces this worker's. The copies' steps may have been rolled back and committed differently.
  private mutating func withdrawAll() {
    forgetEvaluations()
    pendingCheckpoints = [:]
    published = nil
    waitingPeers = []
    withdraw()
  }

  private mutating func withdraw() {
    effects.append(.withdraw(except: (Array(pendingCheckpoints.keys) + [published?.step].compactMap { $0 }).sorted()))
  }
}
