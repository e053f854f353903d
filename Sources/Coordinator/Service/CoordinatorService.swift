// The coordinator's event loop: waits for messages, signals and time, asks the membership, carries out its actions.
import Checkpoint
import Foundation
import Glibc
import Messaging
import RunJournal
import Shared
import VideoIndex

/// One run of the coordinator: a training, or an evaluation alone. Everything here belongs to the thread of `run`.
final class CoordinatorService {
  /// What is to be done.
  struct Plan {
    var recipe: Recipe
    var indexes: Indexes
    var lastStep: UInt64
    /// The identity of the run.
    var run = ""
    /// Evaluates this model and trains nothing.
    var evaluateOnly: Data?
    var shards: StepShards {
      StepShards(
        count: indexes.train.clips.count, lanes: recipe.batch.lanes, clipsPerLane: recipe.batch.clipsPerLane)
    }
  }

  let plan: Plan
  let fleet: WorkerFleet
  let display: ProgressDisplay
  /// Nil where only an evaluation is wanted.
  let journal: Journal?
  let store: CheckpointStore?
  var membership: Membership
  var collector: CommitCollector
  var progress: TrainingProgress
  /// Shown if it is there.
  var stepLedger: StepLedger?
  var evaluation: EvaluationQueue?
  var evaluationStarted = false
  var shelf = BlobShelf()
  var checkpointFetch: CheckpointFetch?
  var checkpointFailure: String?
  var newestCheckpoint: StoredCheckpoint?
  /// Why the run ends early: a fault's text and code.
  var failure: SharedError?
  var interrupted = false
  /// A signal that came while the journal could not be written.
  var signalled: [Int32] = []
  /// The processes here that are the workers, or the ssh clients that run them, while they are known.
  var pids: [WorkerIdentity: pid_t] = [:]
  let socket: Socket
  let signals: SignalSource
  private let start = ContinuousClock.now
  private var malformed = 0
  var finished = false
  /// Steps of this loop's round, to be written down together.
  var committed: [CommittedStep] = []
  var cachedOrder: (epoch: Int, order: EpochOrder)?

  var now: Duration { ContinuousClock.now - start }

  init(
    _ plan: Plan, socket: Socket, fleet: WorkerFleet, display: ProgressDisplay, journal: Journal?,
    store: CheckpointStore?, past: Membership.Past = .init(), resumeFrom checkpoint: StoredCheckpoint? = nil
  ) throws {
    self.plan = plan
    self.socket = socket
    self.fleet = fleet
    self.display = display
    self.journal = journal
    self.store = store
    newestCheckpoint = checkpoint
    signals = try SignalSource([SIGINT, SIGTERM, SIGCHLD])
    membership = Membership(plan.membershipSettings(ranks: fleet.slots.map(\.rank)), past: past)
    collector = CommitCollector(next: past.next)
    if let generation = past.generation { _ = collector.begin(generation) }
    progress = TrainingProgress(lastStep: plan.lastStep, stepsPerEpoch: UInt64(plan.shards.stepsPerEpoch))
    shelf.put("index/train", plan.indexes.train.encoded())
    shelf.put("index/validation", plan.indexes.validation.encoded())
    if let model = plan.evaluateOnly {
      shelf.put("state/0/\(CheckpointFiles.modelName)", model)
      shelf.put("state/0/\(CheckpointFiles.trainerName)", Data())
    }
  }

  /// Works until the plan is carried out, the run cannot go on, or a person stops it.
  /// - Returns: the sums of the evaluation at the end, if there was one.
  /// - Throws: `SharedError` where the run could not be finished.
  func run() throws -> EvaluationResult? {
    do { try lead() } catch let error as JournalError {
      // Without a journal that can be believed nothing may be decided. Who trains keeps what it has, and waits.
      throw error
    } catch {
      fleet.killAll()
      throw error
    }
    fleet.killAll()
    if let failure { throw failure }
    return evaluation?.total
  }

  private func lead() throws {
    if case .recovering = membership.phase {
      try findWorkers()
    } else {
      for slot in fleet.slots { _ = try fleet.start(slot.rank) }
    }
    var tick = now
    while !finished {
      _ = try Poller.wait(
        for: [PollItem(socket), PollItem(signals)] + fleet.pollItems, timeout: max(.zero, tick - now))
      try takeSignals()
      try takeMessages()
      try writeDown()
      if now >= tick {
        try perform(membership.tick(at: now))
        try askForCheckpoint()
        try offerEvaluation()
        tick = now + .milliseconds(200)
      }
      if interrupted, membership.phase == .gathering { finished = true }
      try advance()
    }
    try disband()
    display.clear()
  }

  // MARK: What arrives

  private func takeMessages() throws {
    while true {
      do {
        guard let parts = try socket.receive(dontWait: true) else { return }
        guard let name = parts.first.flatMap({ String(bytes: $0, encoding: .utf8) }), let sender = identity(name) else {
          dropped("a message from a stranger")
          continue
        }
        let message: WorkerMessage
        let payload: Data?
        do { (message, payload) = try ControlCodec.decode(WorkerMessage.self, Array(parts.dropFirst())) } catch {
          dropped("\(error)")
          continue
        }
        try receive(message, payload, from: sender)
      } catch let error as MessagingError where error.isTooLong { dropped("\(error)") }
    }
  }

  private func dropped(_ reason: String) {
    malformed += 1
    note("dropped message \(malformed): \(reason)", level: .warning)
  }

  /// `c.RANK.INCARNATION`, or `h.` for heartbeats.
  func identity(_ name: String) -> WorkerIdentity? {
    let parts = name.split(separator: ".")
    guard parts.count == 3, parts[0] == "c" || parts[0] == "h", let rank = Int(parts[1]), let life = UInt64(parts[2])
    else { return nil }
    return WorkerIdentity(rank: rank, incarnation: life)
  }

  private func receive(_ message: WorkerMessage, _ payload: Data?, from sender: WorkerIdentity) throws {
    if case .hello(let hello) = message { return try greet(sender, hello) }
    guard membership.isKnown(sender) else {
      // A worker of an earlier coordinator, or one that was given up; a newcomer's first heartbeat is neither.
      if case .heartbeat(let progress) = message, progress.generation == 0 { return }
      return try send(.identify(run: plan.run), to: sender)
    }
    switch message {
    case .hello: break
    case .heartbeat(let progress): try perform(membership.heartbeat(sender, progress, at: now))
    case .standing(let standing): try perform(membership.standing(sender, standing, at: now))
    case .prepared(let generation, let step, let weights):
      try perform(membership.prepared(sender, generation: generation, step: step, weights: weights, at: now))
    case .committed(let record):
      if record.step < collector.next { return try send(.acknowledged(step: collector.next), to: sender) }
      // One that came back may report what was rolled back while it was away.
      guard membership.workers[sender.rank]?.isBelieved == true else { return }
      committed += try collector.take(record, from: sender.rank)
      try perform(membership.committed(record, by: sender, recorded: collector.reported, at: now))
    case .checkpointReady(let step, let blobs): try checkpointReady(step, blobs, from: sender)
    case .evaluated(let task, let result):
      evaluation?.take(task, result, from: sender)
      try offerEvaluation()
    case .fault(let fault): try faulted(fault, sender)
    case .leaving: try perform(membership.leaving(sender, at: now))
    case .blobRequest(let request):
      let (piece, bytes) = shelf.answer(request)
      try send(.blobPiece(piece), payload: bytes, to: sender)
    case .blobPiece(let piece): try tookCheckpoint(piece, payload, from: sender)
    }
  }

  // MARK: What is done

  /// - Parameter thread: the worker's own ("c"), or the one that beats ("h"), which hears when the other hangs.
  func send(
    _ message: CoordinatorMessage, payload: Data? = nil, to worker: WorkerIdentity, thread: String = "c"
  ) throws {
    let name = Data("\(thread).\(worker.rank).\(worker.incarnation)".utf8)
    do { _ = try socket.send([name] + ControlCodec.encode(message, payload: payload), dontWait: true) } catch let error
      as MessagingError where error.isUnreachable
    {
      // It is gone, or not connected again yet: what matters is said again.
    }
  }

  func perform(_ actions: [Membership.Action]) throws {
    for action in actions {
      switch action {
      case .send(let worker, let message):
        switch message {
        case .prepare(_, let step, .coordinator): try shelveCheckpoint(step)
        case .prepare(_, let step, .peer):
          // Whoever takes a peer's state does not take its records.
          committed += collector.release(below: step)
          try writeDown()
        default: break
        }
        try send(message, to: worker)
      case .welcome(let worker):
        let blobs = ["index/train", "index/validation"].compactMap { shelf.description($0) }
        try send(
          .welcome(Welcome(run: plan.run, recipe: plan.recipe.yaml(), blobs: blobs, lastStep: plan.lastStep)),
          to: worker)
      case .kill(let worker, let reason):
        try send(.dismiss(reason: reason, clean: false), to: worker)
        try send(.dismiss(reason: reason, clean: false), to: worker, thread: "h")
        if let pid = pids[worker] { fleet.kill(pid) }
      case .launch(let rank):
        if !interrupted, failure == nil, try !fleet.start(rank), fleet.isExhausted, membership.workers.isEmpty {
          throw SharedError(
            .unavailable, "no worker stays alive; see the logs of the run directory, the last is rank \(rank)'s")
        }
      case .joined(let worker, let hello):
        pids[worker] = fleet.process(of: worker.rank, saying: hello.pid)
        if hello.host == ProcessInfo.processInfo.hostName, hello.past != nil { _ = fleet.adopt(worker.rank, hello.pid) }
        try durably {
          try $0.memberJoined(
            MemberRecord(
              rank: worker.rank, incarnation: String(worker.incarnation), host: hello.host, pid: Int(hello.pid),
              threads: hello.threads, joinedAt: .now))
        }
      case .left(let worker, let reason):
        note("\(worker) left: \(reason)", level: .warning)
        try durably {
          try $0.memberLeft(rank: worker.rank, incarnation: String(worker.incarnation), reason: reason, at: .now)
        }
        evaluation?.lost(worker)
        if checkpointFetch?.from == worker { checkpointFetch = nil }
      case .rollBack(let step):
        committed.removeAll { $0.record.step >= step }
        collector.rollBack(to: step)
        committed += collector.release(below: step)
        try writeDown()
        checkpointFetch = nil
        if collector.next == step {
          try durably { _ = try $0.rollBack(to: Int(step), reason: "nobody held a later state", at: .now) }
        }
        note("the steps from \(step) on are computed again", level: .warning)
      case .directive(let directive):
        try durably {
          try $0.record(
            DirectiveRecord(seq: Int(directive.sequence), kind: directive.kind.rawValue, issuedAt: .now))
        }
      case .verdict(let verdict, let reason):
        note("step \(verdict.step) goes without a clip that nobody can decode: \(reason)", level: .warning)
        let row = VerdictRecord(
          step: Int(verdict.step), clip: verdict.clip, epoch: Int(verdict.step) / plan.shards.stepsPerEpoch,
          lane: verdict.lane,
          reason: reason, decidedAt: .now)
        try durably { try $0.record(row) }
      case .begin(let generation, let reason): try record(generation, reason)
      case .note(let text): note(text)
      }
    }
  }
}

extension CoordinatorService.Plan {
  func membershipSettings(ranks: [Int]) -> Membership.Settings {
    let faults = recipe.faults
    return Membership.Settings(
      ranks: ranks, lanes: recipe.batch.lanes, lastStep: lastStep, joinWindow: .seconds(faults.joinSeconds),
      suspectAfter: .seconds(faults.suspectSeconds), evictAfter: .seconds(faults.evictSeconds),
      closedAfter: .seconds(3 * faults.heartbeatSeconds), returnAfter: .seconds(faults.returnSeconds),
      hangAfter: .seconds(faults.hangSeconds), run: run)
  }
}
