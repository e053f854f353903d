// What must hold, compared with the same training in a loop. The ledger's rules are the disk's.
import CoordinatorCore
import Ring
import Shared
import Wire
import WorkerCore

extension World {
  /// A worker applied a step.
  func check(_ worker: SimulatedWorker, before: TrainingValue, after: TrainingValue, digest: Digest128, skipping: Bool)
  {
    guard let made = worker.session.generation, made.number > comparedAfter else { return }
    if made.number < disk.generations.last?.number ?? 0 {
      // It was given up, and goes on for a moment as if it was not; the others may go without a clip by now.
      func leftOut(_ exclusions: [ClipExclusion]) -> Set<ClipExclusion> {
        Set(exclusions.filter { $0.step == before.step })
      }
      if leftOut(made.exclusions) != leftOut(disk.exclusions) { worker.hasStrayed = true }
      if worker.hasStrayed { return }
    }
    reference.compute(through: before.step, without: disk.exclusions)
    let step = Int(before.step)
    let expected = reference.steps[step]
    let who = "worker \(worker.identity.rank), process \(worker.pid)"
    if before != reference.states[step] {
      violate("I1: \(who) applies step \(step) to another state than the undisturbed run")
    } else if digest != expected.digest {
      violate("I6: \(who) applies another sum at step \(step)")
    } else if skipping != expected.skipped {
      violate("I4: \(who) \(skipping ? "skips" : "does not skip") step \(step)")
    } else if after != reference.states[step + 1] {
      violate("I1: \(who) comes to another state after step \(step)")
    }
  }

  /// A step is to go without a clip. It must not have been applied with it, unless that was rolled back, or nobody is
  /// left who knows of it; those who did so, and may not know yet, are not compared any more.
  func check(_ exclusion: ClipExclusion, generation: UInt32, _ taking: [Int]) {
    statistics.exclusions += 1
    if scenario.badClips[exclusion.clip] == nil {
      violate("I8: clip \(exclusion.clip) is left out, and nothing is wrong with it")
    }
    guard exclusion.step < reference.steps.count else { return }
    if exclusion.step < disk.nextStep || taking.contains(where: { workers[$0].isAhead(of: exclusion.step) }) {
      violate("I1: step \(exclusion.step) is to go without clip \(exclusion.clip), and was applied with it")
    }
    reference.forget(from: exclusion.step)
    comparedAfter = generation - 1
  }

  /// Steps from `step` on are to be computed again. Nobody who is asked may have applied one, and whoever kept the sum
  /// that the first of them was committed with should have applied it.
  func check(rollBackTo step: UInt64, _ taking: [WorkerIdentity]) {
    for identity in taking {
      guard let pid = pids[identity], workers[pid].isAhead(of: step) else { continue }
      violate("\(identity) has applied step \(step), and it is computed again")
    }
    guard let record = disk.commit(step) else { return }
    for identity in taking {
      guard let pid = pids[identity], let kept = workers[pid].kept, kept.step == step,
        kept.generation == record.generation, kept.attempt == record.attempt
      else { continue }
      violate("\(identity) kept the sum that step \(step) was committed with, and it is computed again")
    }
  }

  /// A worker is told to end: not for what it computed where its memory never erred, nor for hanging where only its
  /// clips take long.
  func check(dismissed identity: WorkerIdentity, _ reason: String) {
    guard let pid = pids[identity] else { return }
    let worker = workers[pid]
    let isForCorruption = ["suspected: ranks", "its state before", "its checkpoint is not"].contains {
      reason.contains($0)
    }
    if isForCorruption, !worker.hasErred {
      violate("I9: \(identity), whose memory never erred, is fenced: \(reason)")
    }
    if reason.hasPrefix("hangs"), worker.isSlow, !worker.isHung {
      violate("I9: \(identity), whose clips take long, is fenced: \(reason)")
    }
  }

  func check(checkpoint: TrainingValue) {
    if Int(checkpoint.step) >= reference.states.count || checkpoint != reference.states[Int(checkpoint.step)] {
      violate("I1: the checkpoint of step \(checkpoint.step) holds another state")
    }
  }

  /// An evaluation is a function of the state, which is the journal's: every clip counts once, whatever happened.
  func check(evaluationBefore step: UInt64, _ state: Digest128?, _ result: EvaluationResult) {
    guard let state, state == disk.state(before: step) else {
      return violate("I12: an evaluation before step \(step) is of another state than the journal's")
    }
    if result != training.evaluation(state.high) {
      violate("I12: the evaluation before step \(step) comes to \(result)")
    }
    if disk.evaluations.contains(where: { $0.step == step && $0.state == state }) {
      violate("I12: the state before step \(step) is evaluated a second time")
    }
  }

  /// A checkpoint is marked as the best: it is there, and no better one is in the journal.
  func check(best step: UInt64, _ figures: ValidationFigures) {
    if disk.checkpoints[step] == nil { violate("I13: the best checkpoint, of step \(step), is not there") }
    if disk.liveEvaluations[step] != figures {
      violate("I13: the best checkpoint, of step \(step), has other figures than the journal")
    }
  }

  func finish() {
    isOver = true
    if let problem = disk.audit(training) { return violate(problem) }
    reference.compute(through: training.lastStep - 1, without: disk.exclusions)
    // A state that was passed while no coordinator was heard is lost with the worker that has the copy.
    var lost: Set<UInt64> = []
    for step in training.evaluateBefore {
      let state = reference.states[Int(step)].digest
      if disk.evaluations.contains(where: { $0.step == step && $0.state == state }) { continue }
      if disk.everWritten.contains(step) || scenario.faults.isEmpty || training.followsValidation {
        return violate("I12: the state before step \(step) was not evaluated")
      }
      statistics.leftOut += 1
      lost.insert(step)
    }
    if training.validationClips > 0 {
      let best = ValidationHistory(disk.liveEvaluations).best
      guard disk.best == best?.step, best.map({ disk.checkpoints[$0.step] != nil }) ?? true else {
        return violate("I13: the best model is of step \(best?.step ?? 0), and marked is \(disk.best ?? 0)")
      }
      // A person may stop the run when all is trained.
      let evaluated = Set(disk.liveEvaluations.keys).subtracting([training.lastStep])
      if evaluated != training.evaluateBefore.subtracting(lost) {
        return violate("I12: evaluated are the states before \(disk.liveEvaluations.keys.sorted())")
      }
    }
    guard disk.checkpoints[training.lastStep] == reference.states[Int(training.lastStep)] else {
      return violate("I1: the final state is not that of the undisturbed run")
    }
  }
}
