// What is found of a run that was begun before: checked, and put into words for the membership.
import Checkpoint
import Foundation
import RunJournal
import Shared

/// A run that goes on.
struct ResumedRun {
  let past: Membership.Past
  /// The newest valid one.
  let checkpoint: StoredCheckpoint?

  /// - Throws: `SharedError` or `JournalError` where the journal cannot be believed.
  init(_ journal: Journal, _ store: CheckpointStore, _ display: ProgressDisplay) throws {
    let search = try store.newestValid()
    for rejected in search.rejected {
      let text = "checkpoint \(rejected.name) is left out: \(rejected.reason)"
      display.line("warning: \(text)")
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
    past = try Self.past(journal, next: next, checkpoint: checkpoint?.step)
    display.line(
      past.present.isEmpty
        ? "going on from step \(step)" + (next > step ? "; \(next - step) steps after it are computed again" : "")
        : "going on: \(next) steps are committed, the newest checkpoint is of step \(step)")
  }

  private static func past(_ journal: Journal, next: Int, checkpoint: Int?) throws -> Membership.Past {
    var past = Membership.Past()
    if let last = try journal.lastGeneration() {
      past.number = UInt32(last.number)
      past.generation = try? JSONDecoder().decode(Generation.self, from: Data(last.plan.utf8))
    }
    past.present = Set(
      try journal.presentMembers().compactMap { member in
        UInt64(member.incarnation).map { WorkerIdentity(rank: member.rank, incarnation: $0) }
      })
    past.directives = try journal.directives(after: Int(past.generation?.directivesDone ?? 0)).compactMap { row in
      Directive.Kind(rawValue: row.kind).map { Directive(sequence: UInt64(row.seq), kind: $0) }
    }
    past.next = UInt64(next)
    if let last = try journal.lastCommit() {
      past.state = Digest128(hex: last.stateDigest)
      past.last = Standing.Last(
        vote: Standing.Vote(generation: UInt32(last.generation), attempt: UInt8(last.attempt)),
        skipped: last.stateDigest == last.weightsDigest)
    }
    past.checkpoint = checkpoint.map { UInt64($0) }
    past.verdicts = try journal.verdicts(from: 0).map {
      ClipVerdict(step: UInt64($0.step), lane: $0.lane, clip: $0.clip)
    }
    past.setRolledBack(newest: UInt32(try journal.rolledBackGeneration()))
    return past
  }
}
