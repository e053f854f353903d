// The coordinator's event loop: it turns what arrives into events, and performs the effects that the machine decides
// on. It decides nothing itself; what each effect does is in CoordinatorLoop+Effects.swift.
import Checkpoint
import CoordinatorCore
import Foundation
import Glibc
import Messaging
import RunJournal
import Shared
import Wire

/// One run of the coordinator: a training, or an evaluation alone. Everything here belongs to the thread of `run`.
final class CoordinatorLoop {
  let plan: RunPlan
  let fleet: WorkerFleet
  let display: ProgressDisplay
  /// Nil where only an evaluation is wanted.
  let journal: JournalWriter?
  let checkpoints: CheckpointKeeper?
  let door: Door
  /// Nil in a run without keys.
  let keys: RunKeys?
  let signals: SignalSource
  private let wakeup: Wakeup
  private var machine: CoordinatorMachine
  private let start = ContinuousClock.now
  /// Shown if it is there.
  var stepLedger: StepLedger?
  var blobs = BlobStore()
  /// The blobs of the checkpoint that is being fetched.
  var incoming = IncomingBlobs()
  /// Signals that came while the journal could not be written.
  var signalled: [Int32] = []
  private(set) var outcome: Outcome?

  var now: Duration { ContinuousClock.now - start }

  init(
    _ plan: RunPlan, door: Door, keys: RunKeys?, fleet: WorkerFleet, display: ProgressDisplay, journal: Journal?,
    store: CheckpointStore?, past: Membership.Past = .init(), resumeFrom checkpoint: StoredCheckpoint? = nil
  ) throws {
    self.plan = plan
    self.door = door
    self.keys = keys
    self.fleet = fleet
    self.display = display
    self.journal = try journal.map { try JournalWriter($0, plan) }
    let wakeup = try Wakeup()
    self.wakeup = wakeup
    checkpoints = store.map { CheckpointKeeper($0, newest: checkpoint) { wakeup.signal() } }
    signals = try SignalSource([SIGINT, SIGTERM, SIGCHLD], unlessIgnored: [SIGHUP])
    var welcomed = [
      blobs.put("index/train", plan.indexes.train.encoded, digest: plan.indexes.train.digest),
      blobs.put("index/validation", plan.indexes.validation.encoded, digest: plan.indexes.validation.digest),
    ]
    if let model = plan.initialModel { welcomed.append(blobs.put("init/model", model)) }
    if let model = plan.evaluateOnly {
      blobs.put(StateBlobs.model(0), model)
      blobs.put(StateBlobs.trainer(0), Data())
    }
    machine = CoordinatorMachine(
      plan.settings(fleet.slots, startsWorkers: fleet.startsWorkers, indexes: welcomed), past: past)
  }

  /// Works until the plan is carried out, the run cannot go on, or a person stops it.
  /// - Throws: `JournalError` where the journal cannot be written any more for another reason than a full disk;
  ///   `MessagingError` where the socket fails.
  func run() throws -> Outcome {
    do {
      return try lead()
    } catch let error as JournalError {
      // Without a journal that can be believed nothing may be decided. Whoever trains keeps what it has, and waits.
      throw error
    } catch {
      fleet.killAll()
      throw error
    }
  }

  private func lead() throws -> Outcome {
    try handle(.started(vanished: try journal?.vanishedMembers() ?? []))
    var tick = now
    while true {
      if let outcome { return try finish(outcome) }
      _ = try Poller.wait(
        for: [PollItem(door.socket), PollItem(signals), PollItem(wakeup)] + fleet.pollItems,
        timeout: max(.zero, tick - now))
      wakeup.clear()
      try takeSignals()
      try takeEnds()
      try takeMessages()
      for event in checkpoints?.events.take() ?? [] { try handle(try durable(event)) }
      try handle(.drained)
      if now >= tick {
        try handle(.tick)
        tick = now + .milliseconds(200)
      }
    }
  }

  /// What the checkpoints' thread was asked for last, such as to mark the best one, is done before the program ends.
  private func finish(_ outcome: Outcome) throws -> Outcome {
    if case .damaged = outcome { return outcome }
    checkpoints?.finish()
    for event in checkpoints?.events.take() ?? [] { _ = try durable(event) }
    return outcome
  }

  /// Gives an event to the machine, and performs what follows; then what follows from that.
  private func handle(_ event: CoordinatorEvent) throws {
    var events = [event]
    while !events.isEmpty, outcome == nil {
      for effect in machine.step(events.removeFirst(), at: now) {
        if case .finish(let outcome) = effect { self.outcome = outcome }
        if let answer = try perform(effect) { events.append(answer) }
      }
    }
  }

  // MARK: What arrives

  private func takeSignals() throws {
    let came = signalled + signals.take().filter { $0 != SIGCHLD }
    signalled = []
    for signal in came { try handle(signal == SIGHUP ? .hungUp : .stopRequested) }
  }

  private func takeEnds() throws {
    for ended in fleet.reap() {
      try handle(.processEnded(rank: ended.rank, process: ended.pid, reason: "\(ended.reason) (log: \(ended.log))"))
    }
  }

  /// At most so many messages in a round: signals and ticks must not wait for ever.
  private static let messagesAtOnce = 256

  private func takeMessages() throws {
    for _ in 0..<Self.messagesAtOnce {
      guard let (name, key, parts) = try door.receive(refuse: { try handle(.unreadable(reason: $0)) }) else { return }
      guard let sender = Sender(name) else {
        try handle(.unreadable(reason: "its sender's routing id is not that of a connection to a coordinator"))
        continue
      }
      var message: WorkerMessage
      do { (message, incoming.payload) = try ControlCodec.decode(WorkerMessage.self, parts) } catch {
        try handle(.unreadable(reason: "\(error)"))
        continue
      }
      if case .hello(var hello) = message {
        hello.key = key
        message = .hello(hello)
      }
      try handle(.message(message, payload: incoming.payload?.count, from: sender))
      incoming.payload = nil
    }
  }

  // MARK: Durable writing

  /// A checkpoint counts as written when the journal knows it.
  private func durable(_ event: CheckpointKeeper.Event) throws -> CoordinatorEvent {
    switch event {
    case .written(let stored):
      try durably { try $0.wrote(stored) }
      return .checkpointWritten(step: UInt64(stored.step))
    case .pruned(let steps):
      try durably { try $0.pruned(steps) }
      return .drained
    case .pruningFailed(let reason):
      show(RunEvent(.checkpoint, "old checkpoints were not removed: \(reason)", level: .warning))
      return .drained
    case .failed(let step, let reason): return .checkpointFailed(step: step, reason: reason)
    case .refused(let step, let reason): return .checkpointRefused(step: step, reason: reason)
    case .read(let step, let files):
      blobs.removeAll { $0.hasPrefix("state/") }
      blobs.put(StateBlobs.model(step), files.model)
      blobs.put(StateBlobs.trainer(step), files.trainer)
      return .checkpointRead(step: step)
    case .lost(let step, let reason, let newest):
      return .checkpointLost(step: step, reason: reason, newest: newest)
    case .marked(let step): return .bestMarked(step: step)
    case .notMarked(let step, let reason): return .bestNotMarked(step: step, reason: reason)
    }
  }

  /// Makes something durable. While the disk is full or fails, this waits and tries again: nothing is decided
  /// meanwhile, and the workers go on by themselves.
  func durably<Result>(_ write: (JournalWriter) throws -> Result) throws -> Result? {
    guard let journal else { return nil }
    var told = false
    while true {
      do {
        let result = try write(journal)
        if told { display.line("the journal can be written again") }
        return result
      } catch let error as JournalError where error.isTransient {
        if !told { display.line("warning: \(error); training goes on and will be written down when this works again") }
        told = true
        try stayHeard(for: .milliseconds(200))
      }
    }
  }

  /// Answers heartbeats, so that no worker thinks itself left alone; everything else comes again.
  private func stayHeard(for time: Duration) throws {
    _ = try Poller.wait(for: [PollItem(signals)], timeout: time)
    signalled += signals.take().filter { $0 != SIGCHLD }
    // A person who asks twice wants an end at once; a closed terminal may hang up more than once.
    if signalled.count(where: { $0 != SIGHUP }) > 1 {
      fleet.killAll()
      throw SharedError(.interrupted, "stopped at once while the journal could not be written")
    }
    for _ in 0..<Self.messagesAtOnce {
      guard let (name, _, parts) = try door.receive(refuse: { _ in }) else { return }
      guard let sender = Sender(name), case .heartbeat? = try? ControlCodec.decode(WorkerMessage.self, parts).0 else {
        continue
      }
      for answered in [sender, machine.controlConnection(of: sender.worker)] { try send(.pulse([]), to: answered) }
    }
  }
}
