// What a worker fetches at the moment: the indexes, or a state.
import Shared
import Wire

/// What `WorkerMachine` is fetching now, from the coordinator or from a peer: which piece comes next, and what follows
/// from one that came. The bytes are with the loop.
struct StateFetch {
  enum Purpose: Equatable {
    case indexes
    /// The state before a step.
    case state(UInt64)
    /// What is evaluated beside the present state: see `EvaluationTask.blobs`.
    case evaluated(UInt64)
  }

  let purpose: Purpose
  /// The peer's endpoint; nil for the coordinator.
  let peer: String?
  var blobs: BlobTransfers

  init(indexes: [String]) { (purpose, peer, blobs) = (.indexes, nil, BlobTransfers(indexes)) }

  init(step: UInt64, peer: String?) {
    purpose = .state(step)
    self.peer = peer
    blobs = BlobTransfers([StateBlobs.model(step), StateBlobs.trainer(step)])
  }

  init(evaluated step: UInt64, _ names: [String]) {
    (purpose, peer, blobs) = (.evaluated(step), nil, BlobTransfers(names))
  }
}
