// A worker's part in the protocol, as a pure state machine: an event goes in, a list of actions comes out.
// `WorkerMachine` performs them.
import Ring
import Shared
import Wire

/// One worker's part in the protocol: joining, getting the state, stepping, voting, waiting at a boundary.
package struct WorkerSession {
  package enum Phase: Equatable {
    /// Sent its hello, not welcomed yet.
    case joining
    /// Welcomed; fetching the indexes, or ready and waiting for the first halt.
    case waiting
    /// Halted for generation `number`, which is being made.
    case halted
    /// Getting the state before `step`.
    case preparing(step: UInt64)
    case prepared(step: UInt64, weights: Digest128)
    case computing
    case reducing
    /// The sum is frozen, and the ballots go around the ring.
    case voting
    /// Waits at a boundary, with its state reported.
    case atBoundary(stopped: Bool)
    /// Waits for the coordinator to decide about this fault.
    case faulted(Fault)
  }

  package enum Action: Equatable {
    case send(WorkerMessage)
    /// Send a hello, with `past`.
    case introduce
    case fetchIndexes(Welcome)
    case openRing(Generation)
    case closeRing
    /// Drop the sums of lanes that were kept.
    case discardSums
    /// Compute the lanes that are not summed yet.
    case compute(step: UInt64, attempt: UInt8, lanes: [Int])
    /// All lanes are summed: start the reduction.
    case reduce
    /// Offer the ballot, with the newest directive held.
    case vote(directive: UInt64)
    /// Apply the reduced sum, or nothing where the step is skipped; then call `applied`.
    case apply(step: UInt64, skipping: Bool)
    /// Get the state before `step`; then call `obtained`.
    case obtain(StateSource, generation: UInt32, step: UInt64)
    /// Publish a copy of the state, which becomes a checkpoint.
    case publishCheckpoint(step: UInt64, isAwaited: Bool)
    case takenCheckpoint(step: UInt64)
    case evaluate(EvaluationTask)
    case leave(reason: String, clean: Bool)
  }

  let identity: WorkerIdentity
  private(set) package var phase = Phase.joining
  /// Every step below is applied; nil without a state.
  private(set) package var next: UInt64?
  /// The digest of the state before step `next`.
  private var state: Digest128?
  /// The reduced sum of step `next` is kept: it was voted for.
  private(set) package var frozen = false
  private(set) package var attempt: UInt8 = 0
  private(set) package var generation: Generation?
  /// The generation that is being made, or runs.
  private(set) package var number: UInt32 = 0
  /// Commits that the journal is not known to hold, oldest first.
  private(set) var records: [CommitRecord] = []
  /// Lanes of step `next` that are summed, or being computed.
  private(set) var held: [Int] = []
  /// The reduction whose sum is kept, or was last.
  private var vote: StateReport.Vote?
  /// How step `next` − 1 was applied.
  private var last: StateReport.Last?
  private var run = ""
  /// The journal holds every step below.
  private var acknowledged: UInt64 = 0
  /// The source of the state that is being fetched.
  private var source: StateSource?
  private var directives: [Directive] = []
  private(set) package var directivesDone: UInt64 = 0
  private var ready = false
  private var selfTest: SelfTest?
  private var isLeaving = false
  private var lastStep: UInt64 = .max
  /// Whether the state before a step is to be kept as a checkpoint.
  private var isCheckpoint: @Sendable (UInt64) -> Bool = { _ in false }
  /// Whether it is to be evaluated.
  private var isValidated: @Sendable (UInt64) -> Bool = { _ in false }
  /// States that were to be evaluated, and that this generation has passed.
  private var passedStates = 0

  init(identity: WorkerIdentity) { self.identity = identity }

  /// Commits resent at a time: after a long absence of the coordinator there can be thousands.
  private static let recordsAtOnce = 256

  /// The history for a coordinator that does not know this worker; nil before the first welcome.
  var past: Hello.Past? {
    run.isEmpty
      ? nil
      : Hello.Past(run: run, number: number, next: next, acknowledged: acknowledged, selfTest: selfTest)
  }

  /// This rank's lanes.
  package var lanes: [Int] { generation?.members.first { $0.identity == identity }?.lanes ?? [] }

  /// The newest directive up to which this rank holds all.
  package var directiveHeld: UInt64 {
    var held = directivesDone
    for directive in directives where directive.sequence == held + 1 { held += 1 }
    return held
  }

  // MARK: Messages

  mutating func receive(_ message: CoordinatorMessage) -> [Action] {
    switch message {
    case .welcome(let welcome):
      guard phase == .joining else { return [] }
      phase = .waiting
      run = welcome.run
      lastStep = welcome.lastStep
      return [.fetchIndexes(welcome)]
    case .dismiss(let reason, let clean):
      return [.leave(reason: reason, clean: clean)]
    case .halt(let number):
      return halt(number)
    case .prepare(let number, let step, let source, _):
      return prepare(number, step, source)
    case .begin(let generation):
      return begin(generation)
    case .pulse(let outstanding):
      for directive in outstanding where !directives.contains(directive) && directive.sequence > directivesDone {
        directives.append(directive)
      }
      directives.sort { $0.sequence < $1.sequence }
      return []
    case .acknowledged(let step):
      acknowledged = max(acknowledged, step)
      let before = records.count
      records.removeAll { $0.step < step }
      // A coordinator that catches up gets the next ones at once.
      return before > Self.recordsAtOnce && records.count < before
        ? records.prefix(Self.recordsAtOnce).map { .send(.committed($0)) } : []
    case .identify(let run):
      if self.run.isEmpty || self.run == run { return [.introduce] }
      return [.leave(reason: "the coordinator there leads another run", clean: false)]
    case .checkpointTaken(let step):
      return [.takenCheckpoint(step: step)]
    case .evaluate(let task):
      // A task of another state has come late.
      guard let next else { return [] }
      let isOurs = task.id.step == next && (task.id.state == nil || task.id.state == state)
      guard task.isPassed ? task.id.step < next : isOurs else { return [] }
      switch phase {
      case .atBoundary, .prepared: return [.evaluate(task)]
      default: return []
      }
    case .blobRequest, .blobPiece:
      return []
    }
  }

  /// The messages that await an answer, to be resent from time to time.
  func unanswered() -> [WorkerMessage] {
    var messages: [WorkerMessage] = isLeaving ? [.leaving] : []
    messages += records.prefix(Self.recordsAtOnce).map { .committed($0) }
    switch phase {
    case .waiting where ready: messages.append(.standing(StateReport(generation: 0, next: nil, selfTest: selfTest)))
    case .halted: messages.append(stateReport())
    case .prepared(let step, let weights):
      messages.append(.prepared(generation: number, step: step, weights: weights))
    case .atBoundary: messages.append(stateReport())
    case .faulted(let fault): messages.append(.fault(fault))
    case .joining, .waiting, .preparing, .computing, .reducing, .voting: break
    }
    return messages
  }

  // MARK: Events of the loop

  /// The indexes are here, and the self-test was run.
  mutating func indexed(
    selfTest: SelfTest? = nil, isCheckpoint: @escaping @Sendable (UInt64) -> Bool,
    isValidated: @escaping @Sendable (UInt64) -> Bool = { _ in false }
  ) -> [Action] {
    self.isValidated = isValidated
    ready = true
    self.selfTest = selfTest
    self.isCheckpoint = isCheckpoint
    return unanswered().map { .send($0) }
  }

  /// This worker's process was asked to end.
  mutating func askedToLeave() -> [Action] {
    guard ready else { return [.leave(reason: "asked to end", clean: true)] }
    isLeaving = true
    return [.send(.leaving)]
  }

  /// Holds the state before `step`.
  mutating func obtained(generation: UInt32, step: UInt64, weights: Digest128) -> [Action] {
    guard phase == .preparing(step: step), generation == number else { return [] }
    if case .own = source {
    } else {
      // With another's state comes another's past.
      records = []
      held = []
      last = nil
    }
    next = step
    state = weights
    frozen = false
    phase = .prepared(step: step, weights: weights)
    return unanswered().map { .send($0) }
  }

  /// All lanes of this rank are summed.
  mutating func computed(step: UInt64, attempt: UInt8) -> [Action] {
    guard phase == .computing, step == next, attempt == self.attempt else { return [] }
    phase = .reducing
    return [.reduce]
  }

  /// The sum is complete.
  mutating func reduced() -> [Action] {
    guard phase == .reducing else { return [] }
    phase = .voting
    frozen = true
    vote = generation.map { StateReport.Vote(generation: $0.number, attempt: attempt) }
    return [.vote(directive: directiveHeld)]
  }

  /// All ranks voted for the sum.
  /// - Parameter heard: the newest directive that all hold, and whether all hear the coordinator.
  mutating func agreed(_ heard: Heard, skipping: Bool) -> [Action] {
    guard phase == .voting, let next else { return [] }
    agreed = heard
    return [.apply(step: next, skipping: skipping)]
  }
  private var agreed = Heard(directive: 0, coordinator: false)

  /// The scales of the step were too small: once more with larger ones.
  mutating func repeatStep() -> [Action] {
    guard phase == .voting, let next else { return [] }
    frozen = false
    attempt += 1
    return [compute(next)]
  }

  /// Step `next` is applied.
  mutating func applied(_ record: CommitRecord) -> [Action] {
    guard let step = next, record.step == step else { return [] }
    next = step + 1
    state = record.after
    frozen = false
    held = []
    last = StateReport.Last(record)
    records.append(record)
    let sent = [Action.send(.committed(record))]
    return phase == .voting ? sent + boundary() : sent
  }

  /// The step in flight cannot be finished here.
  mutating func failed(_ fault: Fault) -> [Action] {
    guard phase == .computing || phase == .voting else { return [] }
    if case .clip(let lane, _) = fault.kind { held.removeAll { $0 == lane } }
    phase = .faulted(fault)
    switch fault.kind {
    case .corruption, .dataLost: break
    default: return [.send(.fault(fault))]
    }
    // The sums cannot be believed, or completed, in any generation.
    held = []
    frozen = false
    return [.discardSums, .send(.fault(fault))]
  }

  // MARK: Making a generation

  private mutating func halt(_ wanted: UInt32) -> [Action] {
    guard ready, wanted >= number else { return [] }
    if wanted == number, phase != .waiting { return phase == .halted ? [.send(stateReport())] : [] }
    number = wanted
    phase = .halted
    return [.closeRing, .send(stateReport())]
  }

  private mutating func prepare(_ wanted: UInt32, _ step: UInt64, _ source: StateSource) -> [Action] {
    guard ready, wanted >= number else { return [] }
    switch phase {
    case .prepared(step, _) where wanted == number: return unanswered().map { .send($0) }
    case .preparing(step) where wanted == number: return []
    case .halted, .waiting: break
    default: return []
    }
    var actions: [Action] = []
    if case .own(let skipping) = source {
      guard let next, step == next || (frozen && step == next + 1) else { return [] }
      if step > next { actions.append(.apply(step: next, skipping: skipping)) }
    }
    number = wanted
    phase = .preparing(step: step)
    self.source = source
    return actions + [.obtain(source, generation: wanted, step: step)]
  }

  private mutating func begin(_ made: Generation) -> [Action] {
    guard case .prepared(made.startStep, _) = phase, made.number == number else { return [] }
    // A lane was summed with a clip that is excluded now.
    let isShorter = Set(made.exclusions).subtracting(generation?.exclusions ?? []).contains {
      $0.step == made.startStep && held.contains($0.lane)
    }
    generation = made
    directives = []
    directivesDone = made.directivesDone
    attempt = 0
    passedStates = 0
    if made.stops || made.startStep >= lastStep { return waitAtBoundary(stopped: true) }
    if made.pauses { return waitAtBoundary(stopped: false, keepsState: true) }
    return [.openRing(made)] + (made.computesAnew || isShorter ? [.discardSums] : []) + [compute(made.startStep)]
  }

  private mutating func compute(_ step: UInt64) -> Action {
    phase = .computing
    // The next generation begins the step at attempt 0: the sums of a repeated attempt are of no use there.
    held = attempt == 0 ? lanes : []
    return .compute(step: step, attempt: attempt, lanes: lanes)
  }

  // MARK: Boundaries

  private mutating func boundary() -> [Action] {
    guard let next, let generation else { return [] }
    let effective = directives.filter { $0.sequence <= agreed.directive }
    directives.removeAll { $0.sequence <= agreed.directive }
    directivesDone = max(directivesDone, agreed.directive)
    if next >= lastStep || effective.contains(where: { $0.kind == .stop }) {
      return waitAtBoundary(stopped: true)
    }
    var actions: [Action] = []
    let isValidated = isValidated(next)
    if isCheckpoint(next) || isValidated, generation.members.first?.identity == identity {
      actions.append(.publishCheckpoint(step: next, isAwaited: isValidated))
    }
    if waits(before: next, generation, isValidated) || effective.contains(where: { $0.kind == .reconfigure }) {
      return actions + waitAtBoundary(stopped: false)
    }
    if isValidated { passedStates += 1 }
    attempt = 0
    return actions + [compute(next)]
  }

  /// Whether all wait here for an evaluation. While one of them hears no coordinator they train on, and the first keeps
  /// a copy of the state; only so many copies, since each is as large as a checkpoint.
  private func waits(before next: UInt64, _ generation: Generation, _ isValidated: Bool) -> Bool {
    if next == generation.endStep, generation.endBinds || agreed.coordinator { return true }
    return isValidated && passedStates == Self.statesAhead
  }

  /// States that are to be evaluated and that the members pass without a coordinator.
  private static let statesAhead = 4

  /// Waits at a boundary.
  /// - Parameter keepsState: a checkpoint is wanted, though the run is not over.
  private mutating func waitAtBoundary(stopped: Bool, keepsState: Bool = false) -> [Action] {
    phase = .atBoundary(stopped: stopped)
    var actions: [Action] = []
    if stopped || keepsState, let next, generation?.members.first?.identity == identity {
      actions.append(.publishCheckpoint(step: next, isAwaited: true))
    }
    return actions + [.send(stateReport())]
  }

  private func stateReport() -> WorkerMessage {
    .standing(
      StateReport(
        generation: number, next: next, stopped: phase == .atBoundary(stopped: true), held: held,
        vote: frozen ? vote : nil, last: last))
  }
}

extension WorkerSession.Phase {
  /// What heartbeats call it.
  package var progress: Progress.Phase {
    switch self {
    case .joining, .waiting, .halted, .atBoundary, .faulted: .idle
    case .preparing, .prepared: .preparing
    case .computing: .computing
    case .reducing: .reducing
    case .voting: .voting
    }
  }
}
