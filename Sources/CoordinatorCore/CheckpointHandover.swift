// How a checkpoint gets from the worker that holds a copy to the disk: fetched piece by piece, written when the journal
// holds every step below it.
import Shared
import Wire

/// The checkpoint that is on its way from a worker.
struct CheckpointHandover {
  enum Stage {
    case fetching
    /// Here, and to be written; after a failure of the disk not before a time.
    case fetched(notBefore: Duration)
    case writing
  }

  let step: UInt64
  let from: WorkerIdentity
  var stage = Stage.fetching
  var blobs: BlobTransfers
  /// When something was last asked for, or came.
  var asked: Duration

  init(step: UInt64, from: WorkerIdentity, model: String, trainer: String, at now: Duration) {
    self.step = step
    self.from = from
    blobs = BlobTransfers([model, trainer])
    asked = now
  }

  var isBeingWritten: Bool { if case .writing = stage { true } else { false } }
}
