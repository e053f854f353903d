// How far a run has come: what is committed, what is recorded, what is safe on the disk.
import Shared
import Wire

struct RunPosition {
  /// Every step below is known to be committed.
  private(set) var committed: UInt64
  /// The digest of the state before `committed`, where it is known.
  private(set) var state: Digest128?
  /// How the last step was applied.
  private(set) var last: StateReport.Last?
  /// The commit records of all steps below have come. Missing ones are with the workers that applied the steps.
  private(set) var recorded: UInt64
  /// The step of the newest valid checkpoint.
  private(set) var checkpoint: UInt64?
  /// The step of a checkpoint that is being written: nothing is rolled back to before it.
  var pendingCheckpoint: UInt64?
  /// The last checkpoint was fetched. If it is not written, that is not the workers' fault.
  var isHandedOver = false
  /// Workers of this and older generations may hold states that were rolled back since.
  private(set) var rolledBack: UInt32

  init(_ past: Membership.Past) {
    committed = past.next
    recorded = past.next
    state = past.state
    last = past.last
    checkpoint = past.checkpoint
    rolledBack = past.rolledBack
  }

  mutating func received(recordsBelow step: UInt64) { recorded = step }

  mutating func commit(_ record: CommitRecord) {
    committed = record.step + 1
    state = record.after
    last = StateReport.Last(record)
  }

  /// The run resumes at a step of which members hold the state: it was committed, whatever the records say.
  mutating func resume(at step: UInt64) {
    if step > committed { (committed, state) = (step, nil) }
  }

  /// The run falls back to the newest state that exists.
  /// - Parameter generation: the last whose members may hold what is rolled back.
  /// - Returns: whether steps are rolled back.
  mutating func fallBack(to step: UInt64, generation: UInt32) -> Bool {
    defer { (committed, state) = (step, nil) }
    rolledBack = generation
    guard committed > step else { return false }
    recorded = min(recorded, step)
    return true
  }

  /// A generation begins, all of whose members hold the same, valid state.
  mutating func begin(generation number: UInt32, at step: UInt64, state: Digest128?) {
    if step == committed { self.state = state }
    rolledBack = min(rolledBack, number - 1)
    isHandedOver = false
  }

  mutating func wroteCheckpoint(_ step: UInt64) { checkpoint = max(checkpoint ?? 0, step) }

  mutating func lostCheckpoint(newest: UInt64?) { checkpoint = newest }
}
