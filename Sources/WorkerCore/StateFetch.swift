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
    /// The model of the state before a step that the run has passed.
    case passed(UInt64)
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

  init(passed step: UInt64) { (purpose, peer, blobs) = (.passed(step), nil, BlobTransfers([StateBlobs.model(step)])) }
}
