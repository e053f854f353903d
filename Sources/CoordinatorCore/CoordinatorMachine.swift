// Every decision of a coordinator: an event and a time go in, effects come out. It opens nothing and reads no clock.
// Here are its state and the events. CoordinatorMachine+Door.swift checks what comes in; +Checkpoints.swift,
// +Evaluation.swift and +Ending.swift decide about checkpoints, evaluations and the end of a run.
import Shared
import Wire

/// The coordinator of a training, or of an evaluation alone.
package struct CoordinatorMachine {
  package struct Settings {
    /// The identity of the run.
    package var run = ""
    /// The text that workers get.
    package var recipe = ""
    /// The blobs of the indexes.
    package var indexes: [BlobDescription] = []
    package var ranks: [Int]
    /// Those whose processes are on this machine.
    package var localRanks: Set<Int> = []
    /// Whether this coordinator starts workers; else somebody else does.
    package var startsWorkers = true
    package var restarts = 5
    /// The longest wait between two starts of a rank.
    package var longestWait = Duration.seconds(60)
    /// This machine's name.
    package var host = ""
    package var lanes: Int
    /// Training ends when all steps below are applied.
    package var lastStep: UInt64
    /// The run's whole length, where this training is to end sooner.
    package var allSteps: UInt64 = 0
    package var joinWindow = Duration.seconds(60)
    package var suspectAfter = Duration.seconds(1)
    package var evictAfter = Duration.seconds(3)
    package var closedAfter = Duration.milliseconds(750)
    package var returnAfter = Duration.seconds(60)
    package var hangAfter = Duration.seconds(60)
    package var dataWait = Duration.seconds(600)
    package var epoch = EpochRules()
    /// Classes of the data.
    package var classes = Int.max
    /// Of the index, and which of them are evaluated: all if nil.
    package var validationClips = 0
    package var validationSample: [Int]?
    /// Groups of training clips over which an evaluation measures the batch norms' statistics.
    package var measuredGroups: [[Int]] = []
    /// Between steps, the states before these are evaluated.
    package var evaluateBefore: Set<UInt64> = []
    package var evaluationRules = EvaluationPlan.Rules()
    /// Evaluates a model that is served as the state before step 0, and trains and writes nothing.
    package var evaluatesOnly = false
    /// If evaluations are to give each clip's scores: of so many classes.
    package var scoredClasses: Int?
    /// The classes of the validation clip at a position of the index, where the mean average precision is measured, for
    /// which scores are needed.
    package var classesOfClip: (@Sendable (Int) -> [Int])?

    /// The positions of the clips that are evaluated.
    var evaluatedClips: [Int] { validationSample ?? Array(0..<validationClips) }
    var evaluatedCount: Int { validationSample?.count ?? validationClips }

    /// More than any file of a state has: a worker cannot make this process reserve more memory.
    package var stateBytes = MessageLimits.blobBytes

    /// What every message is bounded by.
    var limits: MessageLimits {
      MessageLimits(
        lanes: lanes, clips: epoch.plan.clips, validationClips: validationClips, lastStep: max(lastStep, allSteps),
        blobBytes: stateBytes)
    }

    package init(ranks: [Int], lanes: Int, lastStep: UInt64) {
      self.ranks = ranks
      self.lanes = lanes
      self.lastStep = lastStep
    }
  }

  let settings: Settings
  private(set) package var membership: Membership
  var collector: CommitCollector
  var processes: ProcessTable
  var evaluation: EvaluationJob?
  /// The last evaluation that was finished.
  var evaluated: (step: UInt64, result: EvaluationResult)?
  /// The step whose checkpoint is marked as the best, the one that is being marked, and when that may be tried.
  var markedBest: UInt64?
  var markingBest: UInt64?
  var markingNotBefore = Duration.zero
  /// The last failure to mark it, so that it is reported once.
  var markingProblem: String?
  /// Since when the run is over but for the evaluation of passed states whose checkpoints have not come.
  var withoutCheckpoints: Duration?
  /// Steps whose validation was reported as left out.
  var leftOut: Set<UInt64> = []
  /// The newest state that each worker is known to hold.
  var heldStates: [WorkerIdentity: (step: UInt64, digest: Digest128)] = [:]
  /// Since when no worker can read the data of the evaluation.
  var withoutEvaluators: Duration?
  var handover: CheckpointHandover?
  /// The last failure to write a checkpoint, so that it is reported once.
  var checkpointProblem: String?
  /// The checkpoint that workers can fetch from here, and the one that is being read for them.
  var servedCheckpoint: UInt64?
  var readingCheckpoint: UInt64?
  /// Digests of the states before steps that may become checkpoints, as the commit records have them.
  var stateDigests: [UInt64: Digest128] = [:]
  /// Steps that no more ranks will report, and that are not in the journal yet.
  var unwritten: [CommittedStep] = []
  var ending = Ending.none
  var refusals = RefusalCounter()
  /// Since when records of steps have come whose predecessors are missing, and how long that is nothing to report.
  var recordsAheadSince: Duration?
  static let patienceForRecords = Duration.seconds(5)
  /// The newest connections of each worker.
  var connections: [WorkerIdentity: (control: Int, heartbeat: Int)] = [:]
  var history: StepHistory
  /// The newest event that somebody should look at, and when it came.
  var lastWarning: (event: RunEvent, at: Duration)?
  var now = Duration.zero
  var effects: [CoordinatorEffect] = []

  /// How far the end of the run has come.
  enum Ending: Equatable {
    case none
    /// A checkpoint is wanted first.
    case wanted(Outcome)
    /// Everybody is dismissed; then it ends.
    case disbanding(Outcome, until: Duration, repeated: Duration)
    case over
  }

  package init(_ settings: Settings, past: Membership.Past = .init()) {
    self.settings = settings
    var wanted = Membership.Settings(
      ranks: settings.ranks, lanes: settings.lanes, lastStep: settings.lastStep, joinWindow: settings.joinWindow,
      evictAfter: settings.evictAfter)
    wanted.suspectAfter = settings.suspectAfter
    wanted.closedAfter = settings.closedAfter
    wanted.returnAfter = settings.returnAfter
    wanted.hangAfter = settings.hangAfter
    wanted.run = settings.run
    wanted.dataWait = settings.dataWait
    wanted.epoch = settings.epoch
    let isPlanned = settings.validationClips > 0 && !settings.evaluatesOnly
    membership = Membership(
      wanted, past: past,
      evaluations: EvaluationPlan(
        isPlanned ? settings.evaluateBefore.filter { $0 > 0 } : [], settings.evaluationRules,
        done: ValidationHistory(past.evaluated), rolledBack: past.rolledBackEvaluations, best: past.best,
        stored: past.stored))
    stateDigests = past.passedStates
    evaluated = past.evaluated.max { $0.key < $1.key }.map { ($0.key, $0.value.result) }
    history = StepHistory(settings.epoch.plan, past: past.figures, from: past.figuresFrom)
    collector = CommitCollector(next: past.next, written: past.held)
    if let generation = past.generation { _ = collector.begin(generation) }
    if let state = past.state { stateDigests[past.next] = state }
    processes = ProcessTable(
      ProcessTable.Settings(
        ranks: settings.ranks, localRanks: settings.localRanks, starts: settings.startsWorkers,
        restarts: settings.restarts, longestWait: settings.longestWait))
  }

  /// Decides what follows from an event.
  /// - Parameter now: time on a clock that never goes back.
  /// - Returns: what to do, in this order.
  package mutating func step(_ event: CoordinatorEvent, at now: Duration) -> [CoordinatorEffect] {
    self.now = now
    effects = []
    guard ending != .over else { return [] }
    // Before anything that came meanwhile is read: what is heard now was not heard during the pause as well.
    membership.forgiveOwnPause(at: now)
    if case .disbanding = ending { disband(event) } else { decide(event) }
    defer { effects = [] }
    return effects
  }

  private mutating func decide(_ event: CoordinatorEvent) {
    switch event {
    case .started(let vanished): start(vanished)
    case .message(let message, let payload, let sender): receive(message, payload, from: sender)
    case .unreadable(let reason): refuse("unreadable", reason)
    case .drained: writeDown()
    case .tick: tick()
    case .stopRequested: stop()
    case .hungUp: if ending == .none { stop() }
    case .processStarted(let rank, let process): processes.started(rank, process)
    case .processNotStarted(let rank, let reason):
      processes.notStarted(rank)
      end(.failed(.ioError, reason), at: .once)
    case .processEnded(let rank, let process, let reason): ended(rank, process, reason)
    case .processVanished(let worker):
      if membership.isKnown(worker) {
        perform(membership.lost(worker, .dead, reason: "its process ended", at: now))
      } else {
        perform(membership.gone(worker, at: now))
      }
    case .processNotAdopted(let rank, let process): _ = processes.ended(rank, process)
    case .fingerprintChanged(let before, let after):
      report(
        .fingerprint, "the run began with \(before) and goes on with \(after): its bits may differ", level: .warning)
    case .checkpointWritten(let step): wrote(step)
    case .checkpointFailed(let step, let reason): checkpointFailed(step, reason)
    case .checkpointRefused(let step, let reason): checkpointRefused(step, reason)
    case .checkpointRead(let step): checkpointRead(step)
    case .bestMarked(let step): bestMarked(step)
    case .bestNotMarked(let step, let reason): bestNotMarked(step, reason)
    case .checkpointLost(let step, let reason, let newest):
      readingCheckpoint = nil
      mark { $0.evaluations.lostCheckpoint(step) }
      report(.checkpoint, "the checkpoint of step \(step) cannot be used any more: \(reason)", level: .error)
      perform(membership.checkpointLost(newest: newest, at: now))
    }
    advance()
  }

  private mutating func start(_ vanished: [WorkerIdentity]) {
    // The last coordinator may have ended between the journal and the link.
    markBest()
    guard case .recovering = membership.phase else {
      for rank in settings.ranks { launch(rank) }
      return
    }
    report(.restart, "looking for the workers of generation \(membership.number), which may have gone on")
    for worker in vanished { perform(membership.gone(worker, at: now)) }
  }

  private mutating func tick() {
    perform(membership.tick(at: now))
    launchDue()
    askForCheckpoint()
    markBest()
    evaluate()
    for text in refusals.summary(at: now) { report(.message, text, level: .warning) }
  }

  // MARK: Processes

  mutating func launch(_ rank: Int) {
    guard ending == .none else { return }
    processes.want(rank, at: now)
    launchDue()
  }

  private mutating func launchDue() {
    guard ending == .none else { return }
    for rank in processes.takeDue(at: now) { effects.append(.launch(rank: rank)) }
  }

  private mutating func ended(_ rank: Int, _ process: Int32, _ reason: String) {
    if let worker = processes.ended(rank, process) {
      if membership.isKnown(worker) {
        perform(membership.lost(worker, .dead, reason: reason, at: now))
        return giveUpIfExhausted(rank, reason)
      }
      perform(membership.gone(worker, at: now))
    }
    report(.processEnded, "worker \(rank)'s process ended: \(reason)", level: .warning)
    perform(membership.ended(rank: rank))
    giveUpIfExhausted(rank, reason)
  }

  private mutating func giveUpIfExhausted(_ rank: Int, _ reason: String) {
    guard ending == .none, processes.isExhausted, membership.workers.isEmpty else { return }
    end(.failed(.unavailable, "no worker stays alive; the last, worker \(rank), ended: \(reason)"), at: .once)
  }

  // MARK: Effects

  mutating func report(_ kind: RunEvent.Kind, _ text: String, level: RunEvent.Level = .info) {
    report(RunEvent(kind, text, level: level))
  }

  mutating func report(_ event: RunEvent) {
    if event.level != .info { lastWarning = (event, now) }
    effects.append(.report(event))
  }

  mutating func send(_ message: CoordinatorMessage, to worker: WorkerIdentity) {
    effects.append(.send(message, to: controlConnection(of: worker)))
  }

  /// A worker's newest control connection.
  package func controlConnection(of worker: WorkerIdentity) -> Sender {
    Sender(worker: worker, channel: .control(connections[worker]?.control ?? 0))
  }

  /// Journals the steps that have come, and acknowledges them to the workers.
  mutating func writeDown() {
    guard !unwritten.isEmpty else { return }
    let steps = unwritten
    unwritten = []
    effects.append(.journal(.steps(steps, excluded: membership.clips.excluded)))
    for step in steps { processes.tookPart(step.shares.keys) }
    for worker in membership.members { send(.acknowledged(step: collector.next), to: worker.identity) }
    for step in steps {
      history.add(step, at: now)
      var shown = status(at: now)
      // Several steps may have come together: each is shown by itself, or the end of an epoch would be missed.
      shown.step = step.record.step + 1
      effects.append(.showStep(step, shown))
    }
  }

  mutating func perform(_ actions: [Membership.Action]) {
    for action in actions where ending != .over {
      switch action {
      case .send(let worker, let message): sendDecided(message, to: worker)
      case .welcome(let worker):
        send(
          .welcome(
            Welcome(
              run: settings.run, recipe: settings.recipe, blobs: settings.indexes, lastStep: settings.lastStep)),
          to: worker)
      case .kill(let worker, let reason):
        send(.dismiss(reason: reason, clean: false), to: worker)
        // The heartbeat thread hears this even if the main thread hangs.
        let heartbeat = Sender(worker: worker, channel: .heartbeat(connections[worker]?.heartbeat ?? 0))
        effects.append(.send(.dismiss(reason: reason, clean: false), to: heartbeat))
        if let process = processes.process(of: worker) { effects.append(.endProcess(process)) }
      case .launch(let rank): launch(rank)
      case .joined(let worker, let hello):
        let isHere = hello.host == settings.host
        if processes.joined(worker, process: hello.pid, isHere: isHere, isOld: hello.past != nil) {
          processes.adopted(worker.rank, hello.pid)
          effects.append(.adopt(rank: worker.rank, process: hello.pid))
        }
        effects.append(.journal(.joined(worker, hello)))
      case .left(let worker, let reason):
        report(.workerLeft, "\(worker) left: \(reason)", level: .warning)
        effects.append(.journal(.left(worker, reason: reason)))
        evaluation?.lost(worker)
        heldStates[worker] = nil
        if handover?.from == worker { dropHandover() }
        connections[worker] = nil
      case .rollBack(let step): rollBack(to: step)
      case .directive(let directive): effects.append(.journal(.directive(directive)))
      case .exclude(let clip, let reason):
        report(
          .clip, "step \(clip.step) goes without a clip that nobody can decode: \(reason)", level: .warning)
        effects.append(.journal(.exclusion(clip, reason: reason)))
      case .begin(let generation, let state, let reason): begin(generation, state, reason)
      case .report(let event): report(event)
      case .paused(let step, let reason): effects.append(.journal(.paused(step: step, reason: reason)))
      case .resumed: effects.append(.journal(.resumed))
      case .end(let status, let reason, let atOnce):
        end(.failed(status, reason), at: atOnce ? .once : .boundary)
        if !atOnce { ask { $0.stopHere(reason, at: $1) } }
      }
    }
  }

  private mutating func sendDecided(_ message: CoordinatorMessage, to worker: WorkerIdentity) {
    switch message {
    case .prepare(_, let step, .coordinator, _) where !settings.evaluatesOnly:
      // Sent once the checkpoint can be fetched. A newcomer that finds training ended asks again.
      guard servedCheckpoint == step else { return servesPassedState ? () : read(step) }
    case .prepare(_, let step, .peer, _):
      // A state transfer carries no commit records.
      unwritten += collector.release(below: step)
      writeDown()
    default: break
    }
    send(message, to: worker)
  }

  private mutating func begin(_ generation: Generation, _ state: Digest128?, _ reason: String) {
    unwritten += collector.begin(generation)
    writeDown()
    effects.append(.journal(.generation(generation, reason: reason)))
    // All members hold this state. No commit record has the digest of that before step 0.
    stateDigests[generation.startStep] = stateDigests[generation.startStep] ?? state
    if let first = membership.members.first {
      var entries = first.hello.fingerprint
      entries["self-test"] = first.selfTest?.description
      let text = entries.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
      effects.append(.journal(.fingerprint(text)))
    }
    // Going on after a validation is no news; the journal has it.
    if generation.number > 1 || reason != "start", !settings.evaluateBefore.contains(generation.startStep) {
      report(.generation, "generation \(generation.number) from step \(generation.startStep): \(reason)")
    }
  }

  private mutating func rollBack(to step: UInt64) {
    unwritten.removeAll { $0.record.step >= step }
    stateDigests = stateDigests.filter { $0.key <= step }
    collector.rollBack(to: step)
    mark { $0.evaluations.rolledBack(to: step) }
    unwritten += collector.release(below: step)
    writeDown()
    dropHandover()
    if collector.next == step {
      effects.append(.journal(.rollBack(to: step, reason: "nobody held a later state")))
    }
    report(.rollback, "the steps from \(step) on are computed again", level: .warning)
  }

  /// Has the membership decide about something.
  mutating func ask(_ decide: (inout Membership, Duration) -> [Membership.Action]) {
    let actions = decide(&membership, now)
    perform(actions)
  }

  mutating func mark(_ change: (inout Membership) -> Void) { change(&membership) }
}
