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
    past = try Self.past(journal, plan, next: next, checkpoint: checkpoint?.step)
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
    _ journal: Journal, _ plan: RunPlan, next: Int, checkpoint: Int?
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
    past.evaluated = Set(try journal.evaluatedSteps().map { try number($0, "evaluations.step") })
    past.setRolledBack(newest: try number(journal.rolledBackGeneration(), "steps.generation"))
    return past
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
