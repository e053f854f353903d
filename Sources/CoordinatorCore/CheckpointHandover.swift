// How a checkpoint gets from the worker that holds a copy to the disk: fetched piece by piece, written when the journal
// holds every step below it.
import Shared

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
  private var transfers: [BlobTransfer]
  private var current = 0
  /// When something was last asked for, or came.
  var asked: Duration

  init(step: UInt64, from: WorkerIdentity, model: String, trainer: String, at now: Duration) {
    self.step = step
    self.from = from
    transfers = [BlobTransfer(model), BlobTransfer(trainer)]
    asked = now
  }

  mutating func requests(again: Bool) -> [BlobRequest] {
    guard current < transfers.count else { return [] }
    return again ? transfers[current].requestsAgain() : transfers[current].requests()
  }

  var model: BlobDescription? { transfers[0].description }
  var trainer: BlobDescription? { transfers[1].description }

  /// Takes a piece; after the last of a blob the next blob's turn comes.
  mutating func take(_ piece: BlobPiece, bytes: Int?) -> BlobTransfer.Outcome {
    guard case .fetching = stage, current < transfers.count else { return .ignored }
    let outcome = transfers[current].take(piece, bytes: bytes)
    if case .last = outcome {
      current += 1
      if current == transfers.count { stage = .fetched(notBefore: .zero) }
    }
    return outcome
  }
}
