// Repairs the journal's checkpoint rows after a coordinator was killed.
import Checkpoint
import Foundation
import RunJournal

/// Brings the journal's checkpoints up to date with the disk when a run is resumed.
///
/// A checkpoint is stored or pruned before the journal records it, and a coordinator can die in between. Damaged
/// checkpoints are not recorded.
/// - Throws: `JournalError` or `CheckpointError` if either cannot be read or written.
func reconcileCheckpoints(_ journal: Journal, _ store: CheckpointStore) throws {
  let onDisk = Set(try store.list())
  let known = try journal.checkpoints().map(\.step)
  for step in known where !onDisk.contains(step) {
    try journal.checkpointRemoved(step: step, reason: "was not there when the run was resumed", at: .now)
  }
  let steps = try journal.nextStep()
  for step in onDisk.subtracting(known).sorted() where step <= steps {
    guard let stored = try? store.verify(step) else { continue }
    try journal.record(
      CheckpointRecord(
        step: step, path: stored.path, manifestSha256: stored.manifestDigest, bytes: stored.bytes, createdAt: .now))
  }
}
