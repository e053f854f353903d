// Evaluations: of the final state, or of a checkpoint alone, when training has ended; and of the states that the plan
// names, between two steps. Then the members stand in a generation that trains nothing, as they do while their data is
// gone, and a further generation trains on. Whoever dies meanwhile is replaced as in any pause.
import Shared
import Wire

extension CoordinatorMachine {
  private static let clipsPerTask = 8

  /// The step whose state all members hold and that is to be evaluated now.
  var evaluatedStep: UInt64? {
    guard settings.validationClips > 0 else { return nil }
    switch membership.phase {
    case .stopped(let next):
      // The checkpoint comes first: the evaluation can be repeated from there.
      return ending == .none && (membership.checkpoint == next || settings.evaluatesOnly) ? next : nil
    case .paused(let next): return ending == .none && membership.evaluations.isDue(next) ? next : nil
    case .recovering, .gathering, .halting, .preparing, .running: return nil
    }
  }

  /// Begins an evaluation, gives out tasks again and again, and takes note of its end.
  mutating func evaluate() {
    guard let step = evaluatedStep else { return }
    let state = stateDigests[step]
    if !isEvaluating(step) {
      evaluation = EvaluationJob(
        step: step, state: state, clips: settings.validationClips, clipsPerTask: Self.clipsPerTask,
        deadline: settings.hangAfter)
    }
    guard evaluation?.isDone == false else { return }
    fenceStrangers(step, state)
    for worker in membership.all where worker.dataLost != nil { evaluation?.lost(worker.identity) }
    let evaluators = evaluators(step, state)
    if evaluators.isEmpty { return awaitEvaluators() }
    withoutEvaluators = nil
    for worker in evaluators {
      for task in evaluation?.tasks(for: worker.identity, atOnce: worker.hello.threads, at: now) ?? [] {
        send(.evaluate(task), to: worker.identity)
      }
    }
    endHungEvaluators()
    effects.append(.showEvaluation(status(at: now)))
  }

  /// Begins as soon as an evaluation is possible, not only at the next tick.
  mutating func beginEvaluation() {
    if let step = evaluatedStep, !isEvaluating(step) { evaluate() }
  }

  private func isEvaluating(_ step: UInt64) -> Bool {
    evaluation.map { $0.step == step && $0.state == stateDigests[step] } ?? false
  }

  /// Those who hold the state, as the journal has it, and read their data.
  private func evaluators(_ step: UInt64, _ state: Digest128?) -> [Membership.Worker] {
    membership.all.filter { worker in
      guard worker.dataLost == nil else { return false }
      if let held = heldStates[worker.identity], held.step == step, let state { return held.digest == state }
      // A coordinator that was started again has not seen what its members hold; they evaluate no other state.
      return membership.isMember(worker.identity)
    }
  }

  /// Members that hold another state than the journal's must not evaluate, nor train on.
  private mutating func fenceStrangers(_ step: UInt64, _ state: Digest128?) {
    for worker in membership.members {
      guard let state, let held = heldStates[worker.identity], held.step == step, held.digest != state else { continue }
      let why = "its state before step \(step) is not the committed one"
      ask { $0.lost(worker.identity, .fenced, reason: why, at: $1) }
    }
  }

  /// A worker holds this state now.
  mutating func holds(_ worker: WorkerIdentity, _ step: UInt64, _ digest: Digest128) {
    guard membership.isKnown(worker) else { return }
    heldStates[worker] = (step, digest)
  }

  mutating func evaluated(_ task: EvaluationTask.ID, _ result: EvaluationResult, by worker: WorkerIdentity) {
    switch evaluation?.take(task, result, from: worker) {
    case .refused(let reason)?: refuse("evaluation", "\(worker)'s holds what cannot be: \(reason)")
    case .counted?: if evaluation?.isDone == true { finishEvaluation() } else { evaluate() }
    case .ignored?, nil: break
    }
  }

  private mutating func finishEvaluation() {
    guard let job = evaluation else { return }
    let total = job.total
    evaluated = (job.step, total)
    if !settings.evaluatesOnly { effects.append(.journal(.evaluation(step: job.step, state: job.state, total))) }
    effects.append(.showEvaluation(status(at: now)))
    if case .stopped = membership.phase { return }
    mark { $0.evaluations.finished(job.step) }
    evaluation = nil
    report(
      .evaluation,
      "validation before step \(job.step): \(total.top1) of \(total.clips) clips are right"
        + (settings.classes > 5 ? ", \(total.top5) among the first five" : ""))
    // A generation that is being made for another reason trains on by itself.
    guard case .paused = membership.phase else { return }
    ask { $0.reconfigure("the state before step \(job.step) is evaluated", at: $1) }
  }

  /// A worker that has tasks and makes no progress is fenced; its tasks go to others.
  private mutating func endHungEvaluators() {
    let limit = settings.hangAfter
    for worker in membership.all.map(\.identity) {
      guard let since = evaluation?.assigned(to: worker), now - since > limit, membership.isStuck(worker, at: now)
      else { continue }
      let why = "hangs: its evaluation has not moved for \(limit.components.seconds) s"
      ask { $0.lost(worker, .fenced, reason: why, at: $1) }
    }
  }

  /// Nobody can read the validation clips: the evaluation waits as long as training would. Between two steps the pause
  /// for data sees to that.
  private mutating func awaitEvaluators() {
    guard case .stopped = membership.phase,
      let lost = membership.all.compactMap({ worker in worker.dataLost.map { (worker.identity, $0) } }).first
    else { return }
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
}
