// Evaluations: of the final state, or of a checkpoint alone, when training has ended; and of the states that the plan
// names, between two steps. Then the members stand in a generation that trains nothing, as they do while their data is
// gone, and a further generation trains on. Whoever dies meanwhile is replaced as in any pause.
import Shared
import Wire

extension CoordinatorMachine {
  /// The scores of a task must fit into a message.
  private var clipsPerTask: Int { max(1, min(8, 200_000 / max(1, settings.scoredClasses ?? 0))) }

  /// The step whose state all members hold and that is to be evaluated now.
  var evaluatedStep: UInt64? {
    guard settings.validationClips > 0 else { return nil }
    switch membership.phase {
    case .stopped(let next):
      // The checkpoint comes first: the evaluation can be repeated from there.
      guard ending == .none, membership.checkpoint == next || settings.evaluatesOnly else { return nil }
      if let passed = membership.evaluations.ready(before: next) { return passed }
      return membership.evaluations.isDone(next) ? nil : next
    case .paused(let next):
      guard ending == .none else { return nil }
      if let passed = membership.evaluations.ready(before: next) { return passed }
      return membership.awaitsValidation(before: next) && membership.evaluations.isDue(next) ? next : nil
    case .recovering, .gathering, .halting, .preparing, .running: return nil
    }
  }

  /// Begins an evaluation, gives out tasks again and again, and takes note of its end.
  mutating func evaluate() {
    guard let step = evaluatedStep else { return }
    let state = stateDigests[step]
    if let known = membership.evaluations.known(before: step, state) { return finish(step, known) }
    if !isEvaluating(step) {
      evaluation = EvaluationJob(
        step: step, state: state, measuring: settings.measuredGroups, clips: settings.evaluatedClips,
        clipsPerTask: clipsPerTask,
        scoredClasses: settings.scoredClasses, classesOfClip: settings.classesOfClip, isPassed: isPassed(step),
        deadline: settings.hangAfter, at: now)
    }
    guard evaluation?.isDone == false else { return }
    fenceStrangers(step, state)
    for worker in membership.all where worker.dataLost != nil { evaluation?.lost(worker.identity) }
    let evaluators = evaluators(step, state)
    if evaluators.isEmpty { return awaitEvaluators() }
    withoutEvaluators = nil
    // They fetch its model from here. Without them, newcomers need what is served.
    if isPassed(step), servedCheckpoint != step { return read(step) }
    for worker in evaluators {
      for task in evaluation?.tasks(for: worker.identity, atOnce: worker.hello.threads, at: now) ?? [] {
        send(.evaluate(task), to: worker.identity)
      }
    }
    endHungEvaluators()
    effects.append(.showEvaluation(status(at: now)))
  }

  /// Whether the run has gone on from this state without its evaluation.
  private func isPassed(_ step: UInt64) -> Bool {
    switch membership.phase {
    case .stopped(let next), .paused(let next): step < next
    case .recovering, .gathering, .halting, .preparing, .running: false
    }
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
      // Of a passed state the workers fetch the model, whatever they hold.
      if isPassed(step), heldStates[worker.identity] != nil { return true }
      // A coordinator that was started again has not seen what its members hold; they evaluate no other state.
      return membership.isMember(worker.identity)
    }
  }

  /// Whether workers are fetching the model of a passed state.
  var servesPassedState: Bool {
    guard let job = evaluation, !job.isDone, isPassed(job.step) else { return false }
    return !evaluators(job.step, job.state).isEmpty
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
    case .measured(let norms)?: measured(task.step, norms)
    case .counted?: if evaluation?.isDone == true { finishEvaluation() } else { evaluate() }
    case .ignored?, nil: break
    }
  }

  /// The validation clips are evaluated with what all groups of training clips came to.
  private mutating func measured(_ step: UInt64, _ norms: MeasuredNorms) {
    let failed = evaluation?.unmeasuredClips ?? []
    if let first = failed.first {
      report(
        .evaluation, "batch norms are measured without \(failed.count) training clips, the first: \(first)",
        level: .warning)
    }
    if norms.clips > 0 { effects.append(.serveNorms(step: step, norms)) }
    evaluate()
  }

  private mutating func finishEvaluation() {
    guard let job = evaluation else { return }
    var total = job.total
    // They may be many, and only an evaluation alone shows them.
    if !settings.evaluatesOnly { total.scores = [] }
    evaluated = (job.step, total)
    if !settings.evaluatesOnly {
      effects.append(.journal(.evaluation(step: job.step, state: job.state, total)))
    }
    effects.append(.showEvaluation(status(at: now)))
    if !settings.evaluatesOnly { finish(job.step, ValidationFigures(total, of: job.state)) }
    report(job, total)
    if case .stopped(job.step) = membership.phase { return }
    evaluation = nil
    goOnWhenValidated()
    beginEvaluation()
  }

  /// The result is in the journal.
  private mutating func finish(_ step: UInt64, _ figures: ValidationFigures) {
    mark { $0.evaluations.finished(step, figures) }
    markBest()
    // The best one until now may go. What is being fetched must stay.
    if handover == nil { pruneCheckpoints() }
  }

  private mutating func report(_ job: EvaluationJob, _ total: EvaluationResult) {
    let seconds = (now - job.begun) / .seconds(1)
    let pace = "\(decimal(seconds, 1)) s, \(decimal(seconds / Double(max(1, job.clips)), 4)) s a clip"
    let isBest = membership.evaluations.best?.step == job.step
    report(
      .evaluation,
      (settings.evaluatesOnly ? "" : "validation before step \(job.step): ")
        + (total.meanPrecision.map { "mAP \(decimal(AveragePrecision.percent($0), 4)) %, " } ?? "")
        + "\(total.top1) of \(total.clips) clips are right"
        + (settings.classes > 5 ? ", \(total.top5) among the first five" : "") + ", loss "
        + "\(decimal(total.meanLoss, 6)) (\(pace))" + (isBest ? "; the best so far" : ""))
  }

  /// Between two steps training goes on when the result is in the journal and the checkpoint on the disk.
  mutating func goOnWhenValidated() {
    guard case .paused(let next) = membership.phase, ending == .none else { return }
    ask { $0.wait(before: next, at: $1) }
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

/// A number from 0 up in decimals, as the cores import no library that could write it.
func decimal(_ value: Double, _ digits: Int) -> String {
  var unit: UInt64 = 1
  for _ in 0..<digits { unit *= 10 }
  guard let scaled = UInt64(exactly: (max(0, value) * Double(unit)).rounded()) else { return "\(value)" }
  let fraction = String(scaled % unit)
  return "\(scaled / unit)." + String(repeating: "0", count: max(0, digits - fraction.count)) + fraction
}
