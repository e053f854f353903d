// What comes after training: the last checkpoint, the evaluation, sending everybody home; and how a run ends early.
import Shared

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
    if evaluation != nil { return startDisbanding() }
    ask { $0.stop(at: $1) }
  }

  /// Goes on to what comes after training.
  mutating func advance() {
    switch ending {
    case .over, .disbanding: return
    case .wanted where membership.phase == .gathering: return startDisbanding()
    case .none, .wanted: break
    }
    guard case .stopped(let next) = membership.phase else { return }
    unwritten += collector.release(below: .max)
    writeDown()
    guard membership.checkpoint == next || settings.evaluatesOnly else { return }
    if ending != .none || settings.validationClips == 0 { return startDisbanding() }
    if evaluation == nil {
      evaluation = EvaluationQueue(clips: settings.validationClips, clipsPerTask: 8)
      offerEvaluation()
    }
    if evaluation?.isDone == true { startDisbanding() }
  }

  mutating func offerEvaluation() {
    guard evaluation != nil, case .stopped = membership.phase else { return }
    for worker in membership.all where worker.dataLost != nil { evaluation?.lost(worker.identity) }
    let evaluators = membership.evaluators
    if evaluators.isEmpty { return awaitEvaluators() }
    withoutEvaluators = nil
    for worker in evaluators {
      for task in evaluation?.tasks(for: worker.identity, atOnce: worker.hello.threads) ?? [] {
        send(.evaluate(task), to: worker.identity)
      }
    }
    endHungEvaluators()
    if let total = evaluation?.total { effects.append(.showEvaluation(total)) }
  }

  /// A worker that has tasks and moves in nothing is ended; its tasks go to others.
  private mutating func endHungEvaluators() {
    let limit = settings.hangAfter
    let hung = membership.all.map(\.identity).filter {
      evaluation?.isWorking($0) == true && membership.isStuck($0, at: now)
    }
    for worker in hung {
      let why = "hangs: its evaluation has not moved for \(limit.components.seconds) s"
      ask { $0.lost(worker, .fenced, reason: why, at: $1) }
    }
  }

  /// Nobody can read the validation clips: the evaluation waits as long as training would.
  private mutating func awaitEvaluators() {
    guard let lost = membership.all.compactMap({ worker in worker.dataLost.map { (worker.identity, $0) } }).first else {
      return
    }
    let since = withoutEvaluators ?? now
    if withoutEvaluators == nil {
      report(.data, "the evaluation waits: no worker can read its data (\(lost.0): \(lost.1))", level: .warning)
    }
    withoutEvaluators = since
    guard now - since >= settings.dataWait else { return }
    end(
      .failed(
        .ioError,
        "no worker could read its data to evaluate (\(lost.0): \(lost.1)); the checkpoint is whole: mount the "
          + "data again and start the same command"), at: .once)
  }

  // MARK: Sending everybody home

  private mutating func startDisbanding() {
    let outcome = if case .wanted(let wanted) = ending { wanted } else { Outcome.done(evaluation?.total) }
    processes.stopStarting()
    ending = .disbanding(outcome, until: now + .seconds(10), repeated: now)
    sendHome()
    finishIfAlone()
  }

  private mutating func sendHome() {
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
    case .message(.heartbeat, _, let sender): send(.pulse([]), to: sender.worker)
    case .tick where now - repeated >= .milliseconds(500):
      ending = .disbanding(outcome, until: until, repeated: now)
      sendHome()
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
