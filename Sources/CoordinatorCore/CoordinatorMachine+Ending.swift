// What comes after training: the last checkpoint, the evaluation, dismissing everybody; and how a run ends early.
import Shared
import Wire

extension CoordinatorMachine {
  /// When an end takes effect.
  enum EndingTime {
    /// At the next boundary, after a checkpoint.
    case boundary
    case once
  }

  /// The run ends. The first reason is the one that is told.
  mutating func end(_ outcome: Outcome, at time: EndingTime) {
    processes.stopStarting()
    switch time {
    case .boundary: if ending == .none { ending = .wanted(outcome) }
    case .once:
      let outcome = if case .wanted(let first) = ending, case .failed = first { first } else { outcome }
      ending = .over
      if case .damaged = outcome {} else { effects.append(.endAllProcesses) }
      effects.append(.finish(outcome))
    }
  }

  mutating func stop() {
    if case .wanted(.interrupted) = ending { return end(.stoppedAtOnce, at: .once) }
    report(.stop, "stopping at the next step with a checkpoint; once more to stop at once")
    end(.interrupted, at: .boundary)
    if evaluation != nil, case .stopped = membership.phase { return startDisbanding() }
    ask { $0.stop(at: $1) }
  }

  /// Goes on to what comes after training.
  mutating func advance() {
    switch ending {
    case .over, .disbanding: return
    case .wanted where membership.phase == .gathering: return startDisbanding()
    case .none, .wanted: break
    }
    guard case .stopped(let next) = membership.phase else { return beginEvaluation() }
    unwritten += collector.release(below: .max)
    writeDown()
    guard membership.checkpoint == next || settings.evaluatesOnly else { return }
    if ending == .none, awaitsCheckpoints(before: next) { return }
    let isEvaluated =
      membership.evaluations.isDone(next) && membership.evaluations.ready(before: next) == nil
      && !settings.evaluatesOnly
    if ending != .none || settings.validationClips == 0 { return startDisbanding() }
    if !isEvaluated { beginEvaluation() }
    // What follows from a result that was journaled just now, or of an evaluation alone.
    let isOver = isEvaluated || evaluation.map { $0.step == next && $0.isDone } ?? false
    if isOver, settings.evaluatesOnly || unmarkedBest == nil { startDisbanding() }
  }

  /// Copies of passed states that are to be evaluated may still be with the workers, which offer them each second.
  private mutating func awaitsCheckpoints(before next: UInt64) -> Bool {
    let passed = membership.evaluations.passed(before: next)
    if let handover, passed.contains(handover.step) { withoutCheckpoints = nil }
    let lacking = passed.filter { membership.evaluations.lacks($0) }
    guard !lacking.isEmpty else { return false }
    guard let since = withoutCheckpoints else {
      withoutCheckpoints = now
      return true
    }
    guard now - since > .seconds(3) else { return true }
    for step in lacking where !leftOut.contains(step) {
      leftOut.insert(step)
      report(
        .evaluation,
        "the validation before step \(step) is left out: its state was passed while no coordinator was heard, and is lost",
        level: .warning)
    }
    return false
  }

  // MARK: Dismissing everybody

  private mutating func startDisbanding() {
    let outcome = if case .wanted(let wanted) = ending { wanted } else { Outcome.done(finalResult) }
    processes.stopStarting()
    ending = .disbanding(outcome, until: now + .seconds(10), repeated: now)
    dismissAll()
    finishIfAlone()
  }

  /// Of the final state; a coordinator that was started again has it from the journal.
  private var finalResult: EvaluationResult? {
    if let evaluation, evaluation.isDone { return evaluation.total }
    guard case .stopped(let next) = membership.phase else { return nil }
    return membership.evaluations.history[next]?.result
  }

  private mutating func dismissAll() {
    for rank in membership.workers.keys.sorted() {
      guard let worker = membership.workers[rank] else { continue }
      send(.dismiss(reason: "the run is over", clean: true), to: worker.identity)
    }
  }

  /// All that still matters when the run is over: who is gone, and a person's impatience.
  mutating func disband(_ event: CoordinatorEvent) {
    guard case .disbanding(let outcome, let until, let repeated) = ending else { return }
    switch event {
    case .processStarted(let rank, let process): processes.started(rank, process)
    case .processNotStarted(let rank, _): processes.notStarted(rank)
    case .processEnded(let rank, let process, _): _ = processes.ended(rank, process)
    case .message(.hello, _, let sender):
      effects.append(.send(.dismiss(reason: "the run is over", clean: true), to: sender))
    case .message(.heartbeat, _, let sender):
      // One that was away asks to come back, and is told then that the run is over.
      let isKnown = membership.isKnown(sender.worker)
      effects.append(.send(isKnown ? .pulse([]) : .identify(run: settings.run), to: sender))
    case .tick where now - repeated >= .milliseconds(500):
      ending = .disbanding(outcome, until: until, repeated: now)
      dismissAll()
    case .stopRequested: return finish()
    default: return
    }
    finishIfAlone()
  }

  private mutating func finishIfAlone() {
    guard case .disbanding(_, let until, _) = ending, processes.isEmpty || now >= until else { return }
    finish()
  }

  private mutating func finish() {
    guard case .disbanding(let outcome, _, _) = ending else { return }
    ending = .over
    effects.append(.endAllProcesses)
    effects.append(.journal(.disbanded(reason: "the run is over")))
    effects.append(.finish(outcome))
  }
}
