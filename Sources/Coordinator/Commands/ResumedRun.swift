// Loads and checks a run that began earlier, for the coordinator to resume.
import Checkpoint
import CoordinatorCore
import Foundation
import RunJournal
import Shared
import Video
import Wire

/// A resumed run.
struct ResumedRun {
  let past: Membership.Past
  /// The newest valid checkpoint.
  let checkpoint: StoredCheckpoint?

  /// - Parameter say: shows a line to the user.
  /// - Throws: `SharedError` or `JournalError` if the journal contradicts itself or the checkpoints.
  init(
    _ journal: Journal, _ store: CheckpointStore, _ plan: RunPlan, say: (String) -> Void
  ) throws {
    let search = try store.newestValid { try journal.stateDigest(before: $0) }
    for step in search.strange { _ = try store.setAside(step) }
    for rejected in search.rejected {
      let text = "checkpoint \(rejected.name) is left out: \(rejected.reason)"
      say("warning: \(text)")
      try journal.record(EventRecord(at: .now, level: .warning, source: "coordinator", text: text))
    }
    checkpoint = search.newest
    let step = checkpoint?.step ?? 0
    try journal.requireSteps(step, witness: "the checkpoint of step \(step)")
    let next = try journal.nextStep()
    guard next >= step else {
      throw SharedError(.badData, "\(journal.path): lacks steps below the checkpoint of step \(step)")
    }
    try reconcileCheckpoints(journal, store)
    past = try Self.past(journal, plan, store, next: next, checkpoint: checkpoint?.step, say)
    say(
      past.present.isEmpty
        ? "going on from step \(step)" + (next > step ? "; \(next - step) steps after it are computed again" : "")
        : "going on: \(next) steps are committed, the newest checkpoint is of step \(step)")
  }

  /// A run goes on only where its clips become the same numbers as before.
  /// - Throws: `SharedError(.badConfiguration)` naming what has changed since the run began.
  static func requireSameClips(_ run: RunRecord, _ directory: String) throws {
    guard let reason = VideoFingerprint.refusal(of: run.fingerprint) else { return }
    throw SharedError(
      .badConfiguration,
      "\(directory): this run was begun by another version of Tamring: \(reason); with other pixels its bits would not "
        + "be those that it promises: go on with that version, or begin anew in another --run-dir")
  }

  private static func past(
    _ journal: Journal, _ plan: RunPlan, _ store: CheckpointStore, next: Int, checkpoint: Int?, _ say: (String) -> Void
  ) throws -> Membership.Past {
    func number<Value: FixedWidthInteger>(_ row: Int, _ column: String) throws -> Value {
      guard let value = Value(exactly: row) else {
        throw SharedError(
          .badData, "\(journal.path): holds what cannot be: \(column) is \(row); restore it from a copy")
      }
      return value
    }
    var past = Membership.Past()
    if let last = try journal.lastGeneration() {
      past.number = try number(last.number, "generations.number")
      past.generation = try generation(last, journal, plan)
    }
    past.present = Set(
      try journal.presentMembers().compactMap { member in
        UInt64(member.incarnation).map { WorkerIdentity(rank: member.rank, incarnation: $0) }
      })
    let done = Int(clamping: past.generation?.directivesDone ?? 0)
    past.directives = try journal.directives(after: done).compactMap { row in
      let sequence: UInt64 = try number(row.seq, "directives.seq")
      return Directive.Kind(rawValue: row.kind).map { Directive(sequence: sequence, kind: $0) }
    }
    past.next = try number(next, "steps.step")
    past.held = try number(journal.stepsHeld(), "steps.step")
    if let last = try journal.lastCommit() {
      past.state = Digest128(hex: last.stateDigest)
      past.last = StateReport.Last(
        vote: StateReport.Vote(
          generation: try number(last.generation, "steps.generation"),
          attempt: try number(last.attempt, "steps.attempt")),
        skipped: last.stateDigest == last.weightsDigest)
    }
    past.checkpoint = try checkpoint.map { try number($0, "checkpoints.step") }
    past.exclusions = try journal.verdicts(from: 0).map {
      ClipExclusion(step: try number($0.step, "verdicts.step"), lane: $0.lane, clip: $0.clip)
    }
    past.pausedFor = try journal.presentPause().map { .seconds(max(0, Date.now.timeIntervalSince($0.startedAt))) }
    for row in try journal.liveEvaluations() {
      past.evaluated[try number(row.step, "evaluations.step")] = ValidationFigures(row)
    }
    for row in try journal.evaluations() {
      let (step, figures) = (try number(row.step, "evaluations.step") as UInt64, ValidationFigures(row))
      if figures.state != nil, figures.state != past.evaluated[step]?.state {
        past.rolledBackEvaluations[step] = figures
      }
    }
    past.best = best(past.evaluated, store, say)
    past.figuresFrom = plan.steps.firstStep(ofEpoch: plan.steps.epoch(of: checkpoint ?? 0))
    past.figures = try journal.figures(from: past.figuresFrom).map {
      StepFigures(clips: $0.clips, top1: $0.top1, loss: $0.loss)
    }
    past.stored = Set(try journal.checkpoints().map { try number($0.step, "checkpoints.step") })
    for step in plan.validationPoints where step < past.next && past.evaluated[step] == nil {
      past.passedStates[step] = try journal.stateDigest(before: Int(step))
    }
    past.setRolledBack(newest: try number(journal.rolledBackGeneration(), "steps.generation"))
    return past
  }

  /// The best model of which there is a whole checkpoint. Only the best ones are kept, so mostly it is the best of all.
  private static func best(
    _ figures: [UInt64: ValidationFigures], _ store: CheckpointStore, _ say: (String) -> Void
  ) -> UInt64? {
    var figures = figures
    while let step = ValidationHistory(figures).best?.step {
      let name = CheckpointStore.name(ofStep: Int(step))
      do {
        _ = try store.verify(Int(step))
        return step
      } catch {
        // One that was never kept, as an older version kept none, is nothing to warn of.
        if store.best() == Int(step) { say("warning: the best checkpoint, \(name), cannot be used: \(error)") }
        figures[step] = nil
      }
    }
    return nil
  }

  /// The newest generation as it was announced; nil if its row does not hold a plan.
  private static func generation(
    _ row: GenerationRecord, _ journal: Journal, _ plan: RunPlan
  ) throws -> Generation? {
    guard let made = try? JSONDecoder().decode(Generation.self, from: Data(row.plan.utf8)) else { return nil }
    let limits = MessageLimits(
      lanes: plan.recipe.batch.lanes,
      clips: plan.recipe.data.balanced ? Int(Int32.max) : plan.indexes.train.clips.count,
      validationClips: plan.indexes.validation.clips.count, lastStep: .max)
    let isRow = Int(exactly: made.number) == row.number && Int(exactly: made.startStep) == row.startStep
    if let problem = made.problem(in: limits) ?? (isRow ? nil : "its plan is of another generation") {
      throw SharedError(
        .badData,
        "\(journal.path): generation \(row.number) cannot be: \(problem); restore run.db from a copy, or start a new "
          + "run directory")
    }
    return made
  }
}
