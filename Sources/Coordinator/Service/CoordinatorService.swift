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
  private var signalled: [Int32] = []
  /// The processes of workers, while they are known.
  private var pids: [WorkerIdentity: pid_t] = [:]
  private let socket: Socket
  private let signals: SignalSource
  private let start = ContinuousClock.now
  private var malformed = 0
  private var finished = false
  /// Steps of this loop's round, to be written down together.
  private var committed: [CommittedStep] = []

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
      try advance()
    }
    try disband()
    display.clear()
  }

  /// Those workers of an earlier coordinator that were on this machine are known to live, or not to.
  private func findWorkers() throws {
    note("looking for the workers of generation \(membership.number), which may have gone on")
    let own = ProcessInfo.processInfo.hostName
    for member in try journal?.presentMembers() ?? [] where member.host == own {
      guard let life = UInt64(member.incarnation) else { continue }
      let identity = WorkerIdentity(rank: member.rank, incarnation: life)
      if fleet.adopt(member.rank, pid_t(member.pid)) {
        pids[identity] = pid_t(member.pid)
      } else {
        try perform(membership.gone(identity, at: now))
      }
    }
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
  private func identity(_ name: String) -> WorkerIdentity? {
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
      guard membership.workers[sender.rank]?.mustLearn == false else { return }
      committed += try collector.take(record, from: sender.rank)
      try perform(membership.committed(record, by: sender))
    case .checkpointReady(let step, let blobs): try checkpointReady(step, blobs, from: sender)
    case .evaluated(let task, let result):
      evaluation?.take(task, result, from: sender)
      try offerEvaluation()
    case .fault(let fault): try faulted(fault, sender)
    case .blobRequest(let request):
      let (piece, bytes) = shelf.answer(request)
      try send(.blobPiece(piece), payload: bytes, to: sender)
    case .blobPiece(let piece): try tookCheckpoint(piece, payload, from: sender)
    }
  }

  private func greet(_ sender: WorkerIdentity, _ hello: Hello) throws {
    if let past = hello.past, past.run == plan.run {
      try journal?.requireSteps(Int(past.acknowledged), witness: "\(sender) on \(hello.host)")
    }
    // A rank whose process here is known to be gone is free, also where somebody else started it.
    if let holder = membership.workers[sender.rank], holder.identity != sender, let pid = pids[holder.identity],
      holder.hello.host == ProcessInfo.processInfo.hostName, kill(pid, 0) == -1, errno == ESRCH
    {
      try perform(membership.lost(holder.identity, .dead, reason: "its process ended", at: now))
    }
    try perform(membership.hello(sender, hello, at: now))
  }

  private func takeSignals() throws {
    for signal in signalled + signals.take() where signal != SIGCHLD { try stop() }
    signalled = []
    for ended in fleet.reap() {
      note("worker \(ended.rank)'s process ended: \(ended.reason) (log: \(ended.log))", level: .warning)
      if let identity = pids.first(where: { $0.value == ended.pid && $0.key.rank == ended.rank })?.key, !ended.isRemote
      {
        pids[identity] = nil
        if membership.isKnown(identity) {
          try perform(membership.lost(identity, .dead, reason: ended.reason, at: now))
          continue
        }
        try perform(membership.gone(identity, at: now))
      }
      if !finished { try perform(membership.ended(rank: ended.rank)) }
    }
  }

  private func stop() throws {
    if interrupted {
      fleet.killAll()
      throw SharedError(.interrupted, "stopped at once; the newest checkpoint stays")
    }
    interrupted = true
    display.line("stopping at the next step with a checkpoint; once more to stop at once")
    if membership.phase == .gathering || evaluationStarted { finished = true }
    try perform(membership.stop())
  }

  private func faulted(_ fault: Fault, _ sender: WorkerIdentity) throws {
    guard fault.generation == membership.number, membership.isMember(sender) else { return }
    switch fault.kind {
    case .silentPeer(let rank): return try perform(membership.silentPeer(sender, rank, at: now))
    case .clip(let lane, let clip):
      let clip = ClipVerdict(step: fault.step, clip: clip)
      return try perform(membership.clipFailed(sender, clip, lane: lane, reason: fault.text, at: now))
    case .corruption(let ranks): return try corrupted(ranks, fault, sender)
    case .nonFiniteGradient, .other: break
    }
    note("\(sender): \(fault.text)", level: .error)
    failure = SharedError(ExitStatus(rawValue: fault.status) ?? .failed, fault.text)
    try perform(membership.stopHere(fault.text, at: now))
  }

  private func corrupted(_ ranks: [Int], _ fault: Fault, _ sender: WorkerIdentity) throws {
    guard membership.phase == .running else { return }
    note("\(sender): \(fault.text)", level: .error)
    if !ranks.isEmpty, ranks.count < membership.members.count {
      for rank in ranks {
        guard let worker = membership.workers[rank] else { continue }
        try perform(membership.lost(worker.identity, .condemned, reason: fault.text, at: now))
      }
      return
    }
    let again =
      ranks.isEmpty
      ? membership.computeAgain(fault.text, at: now) : membership.restore(fault.text, at: now)
    // Twice at one step: this is no flipped bit. Where nobody can be believed, the newest checkpoint is the last word.
    guard let again else { throw SharedError(.badData, fault.text) }
    try perform(again)
  }

  // MARK: What is done

  func send(_ message: CoordinatorMessage, payload: Data? = nil, to worker: WorkerIdentity) throws {
    let name = Data("c.\(worker.rank).\(worker.incarnation)".utf8)
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
        if case .prepare(_, let step, .coordinator) = message { try shelveCheckpoint(step) }
        try send(message, to: worker)
      case .welcome(let worker):
        let blobs = ["index/train", "index/validation"].compactMap { shelf.description($0) }
        try send(
          .welcome(Welcome(run: plan.run, recipe: plan.recipe.yaml(), blobs: blobs, lastStep: plan.lastStep)),
          to: worker)
      case .kill(let worker, let reason):
        try send(.dismiss(reason: reason, clean: false), to: worker)
        if let pid = pids[worker] { fleet.kill(pid) }
      case .launch(let rank):
        if !interrupted, failure == nil, try !fleet.start(rank), fleet.isExhausted, membership.workers.isEmpty {
          throw SharedError(
            .unavailable, "no worker stays alive; see the logs of the run directory, the last is rank \(rank)'s")
        }
      case .joined(let worker, let hello):
        pids[worker] = hello.pid
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
        committed = []
        collector.rollBack(to: step)
        try durably { _ = try $0.rollBack(to: Int(step), reason: "nobody held a later state", at: .now) }
        note("the steps from \(step) on are computed again", level: .warning)
      case .directive(let directive):
        try durably {
          try $0.record(
            DirectiveRecord(
              seq: Int(directive.sequence), kind: directive.kind.rawValue, argument: "", issuedAt: .now))
        }
      case .verdict(let verdict, let lane, let reason):
        note("step \(verdict.step) goes without a clip that nobody can decode: \(reason)", level: .warning)
        let row = VerdictRecord(
          step: Int(verdict.step), clip: verdict.clip, epoch: Int(verdict.step) / plan.shards.stepsPerEpoch, lane: lane,
          reason: reason, decidedAt: .now)
        try durably { try $0.record(row) }
      case .begin(let generation, let reason): try record(generation, reason)
      case .note(let text): note(text)
      }
    }
  }

  private func record(_ generation: Generation, _ reason: String) throws {
    committed += collector.begin(generation)
    try writeDown()
    let lanes = Dictionary(uniqueKeysWithValues: generation.members.map { ($0.identity.rank, $0.lanes) })
    let row = GenerationRecord(
      number: Int(generation.number), startStep: Int(generation.startStep), reason: reason, lanes: lanes,
      ring: generation.members.map(\.identity.rank), createdAt: .now,
      plan: String(decoding: try JSONEncoder().encode(generation), as: UTF8.self))
    try durably { try $0.record(row) }
    if let hello = membership.members.first?.hello {
      let text = hello.fingerprint.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
      if let before = try journal?.recordFingerprint(text) {
        note("the run began with \(before) and goes on with \(text): its bits may differ", level: .warning)
      }
    }
    if generation.number > 1 || reason != "start" {
      note("generation \(generation.number) from step \(generation.startStep): \(reason)")
    }
  }

  /// Writes the steps that have come to the journal, tells the workers, shows them.
  func writeDown() throws {
    guard !committed.isEmpty else { return }
    let steps = committed
    committed = []
    let rows = steps.map { journaled($0) }
    try durably { _ = try $0.recordCommits(rows) }
    fleet.stepped()
    for worker in membership.members { try send(.acknowledged(step: collector.next), to: worker.identity) }
    for step in steps {
      let (line, endsEpoch) = progress.line(step, workers: membership.members.count, at: now)
      display.living(line, at: now, matters: endsEpoch)
      if endsEpoch { display.keep() }
    }
  }

  private func journaled(_ step: CommittedStep) -> JournalCommit {
    let record = step.record
    let shards = plan.shards
    let epoch = Int(record.step) / shards.stepsPerEpoch
    let order = epochOrder(epoch)
    let consumed = (0..<shards.lanes).flatMap { lane in
      order.clips(step: Int(record.step) % shards.stepsPerEpoch, lane: lane, in: shards).filter {
        !membership.verdicts.contains(ClipVerdict(step: record.step, clip: $0))
      }.map { ConsumedClip(lane: lane, clip: $0) }
    }
    let row = StepRecord(
      step: Int(record.step), epoch: epoch, generation: Int(record.generation), attempt: Int(record.attempt),
      digest: record.digest.description, weightsDigest: record.weights.description,
      stateDigest: record.after.description, loss: record.loss,
      top1: record.top1, top5: record.top5, clips: record.clips, learningRate: record.learningRate,
      gradientBits: plan.recipe.exchange.gradientBits, rawBytes: Int(step.rawBytes), wireBytes: Int(step.wireBytes),
      ringSeconds: step.slowest(\.ring), computeSeconds: step.slowest(\.compute),
      decodeWaitSeconds: step.slowest(\.decodeWait), reporter: step.shares.keys.min() ?? 0, committedAt: .now)
    return JournalCommit(step: row, consumed: consumed)
  }

  private var cachedOrder: (epoch: Int, order: EpochOrder)?

  private func epochOrder(_ epoch: Int) -> EpochOrder {
    if let cachedOrder, cachedOrder.epoch == epoch { return cachedOrder.order }
    let order = EpochOrder(seed: plan.recipe.seed, epoch: epoch, count: plan.indexes.train.clips.count)
    cachedOrder = (epoch, order)
    return order
  }

  func note(_ text: String, level: EventRecord.Level = .info) {
    display.line(level == .info ? text : "\(level): \(text)")
    do { try journal?.record(EventRecord(at: .now, level: level, source: "coordinator", text: text)) } catch {
      display.line("the journal could not take an event: \(error)")
    }
  }

  /// Makes something durable. While the disk is full or fails, this waits and tries again: nothing is decided
  /// meanwhile, and the workers go on by themselves.
  func durably(_ write: (Journal) throws -> Void) throws {
    guard let journal else { return }
    var told = false
    while true {
      do {
        try write(journal)
        if told { display.line("the journal can be written again") }
        return
      } catch let error as JournalError where error.status == .ioError || error.status == .unavailable {
        if !told { display.line("warning: \(error); training goes on and will be written down when this works again") }
        told = true
        try stayHeard(for: .milliseconds(200))
      }
    }
  }

  /// Answers heartbeats, so that no worker thinks itself left alone; everything else comes again.
  private func stayHeard(for time: Duration) throws {
    _ = try Poller.wait(for: [PollItem(signals)], timeout: time)
    let came = signals.take().filter { $0 != SIGCHLD }
    signalled += came
    if signalled.count > 1 { try signalled.forEach { _ in try stop() } }
    while let parts = try socket.receive(dontWait: true) {
      guard let name = parts.first.flatMap({ String(bytes: $0, encoding: .utf8) }), let sender = identity(name) else {
        continue
      }
      if case .heartbeat? = try? ControlCodec.decode(WorkerMessage.self, Array(parts.dropFirst())).0 {
        try send(.pulse([]), to: sender)
      }
    }
  }

  // MARK: The end

  /// Goes on to what comes after training.
  private func advance() throws {
    guard case .stopped(let next) = membership.phase, !finished else { return }
    committed += collector.flush()
    try writeDown()
    guard newestCheckpoint.map({ UInt64($0.step) }) == next || plan.evaluateOnly != nil else { return }
    if interrupted || failure != nil || plan.indexes.validation.clips.isEmpty {
      finished = true
      return
    }
    if !evaluationStarted {
      evaluationStarted = true
      evaluation = EvaluationQueue(clips: plan.indexes.validation.clips.count, clipsPerTask: 8)
      try offerEvaluation()
    }
    if evaluation?.isDone == true { finished = true }
  }

  private func offerEvaluation() throws {
    guard evaluationStarted else { return }
    for worker in membership.evaluators {
      guard let task = evaluation?.task(for: worker) else { continue }
      try send(.evaluate(task), to: worker)
    }
    if let total = evaluation?.total {
      display.living("validation  \(total.clips)/\(plan.indexes.validation.clips.count) clips", at: now)
    }
  }

  /// Sends everybody home and waits until they are gone.
  private func disband() throws {
    for worker in membership.workers.values {
      try send(.dismiss(reason: "the run is over", clean: true), to: worker.identity)
    }
    let deadline = now + .seconds(10)
    while !fleet.isEmpty, now < deadline {
      _ = try Poller.wait(for: [PollItem(signals)], timeout: .milliseconds(500))
      _ = signals.take()
      _ = fleet.reap()
      for worker in membership.workers.values {
        try send(.dismiss(reason: "the run is over", clean: true), to: worker.identity)
      }
    }
    fleet.killAll()
    for member in try journal?.presentMembers() ?? [] {
      try durably {
        try $0.memberLeft(rank: member.rank, incarnation: member.incarnation, reason: "the run is over", at: .now)
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
      returnAfter: .seconds(faults.returnSeconds), hangAfter: .seconds(faults.hangSeconds), run: run)
  }
}
