// What a coordinator that was killed did not come to say in the journal about its checkpoints.
import Checkpoint
import Foundation
import RunJournal

/// Brings the journal's checkpoints up to date with the disk when a run is resumed.
///
/// A checkpoint is stored, or pruned, before the journal says so; between the two a coordinator can die. One that is
/// damaged is not taken in.
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
