// Blobs that a worker fetches one after the other: the indexes, or a state.
import Shared

struct StateFetch {
  enum Purpose: Equatable {
    case indexes
    /// The state before a step.
    case state(UInt64)
  }

  let purpose: Purpose
  /// The peer's endpoint; nil for the coordinator.
  let peer: String?
  private var transfers: [BlobTransfer]
  private var current = 0
  /// Bytes that had come when `repeatedRequests` was last called.
  private var bytesBefore = 0

  init(purpose: Purpose, peer: String?, blobs: [String]) {
    self.purpose = purpose
    self.peer = peer
    transfers = blobs.map { BlobTransfer($0) }
  }

  init(step: UInt64, peer: String?) {
    self.init(purpose: .state(step), peer: peer, blobs: [StateBlobs.model(step), StateBlobs.trainer(step)])
  }

  var isComplete: Bool { current == transfers.count }

  mutating func requests() -> [BlobRequest] { isComplete ? [] : transfers[current].requests() }

  /// To be called now and then: requests what is missing again where nothing has come since the last call.
  mutating func repeatedRequests() -> [BlobRequest] {
    defer { bytesBefore = bytes }
    return isComplete || bytes != bytesBefore ? [] : transfers[current].requestsAgain()
  }

  var descriptions: [BlobDescription] { transfers.compactMap(\.description) }

  /// Bytes that have come.
  var bytes: Int { transfers.reduce(0) { $0 + $1.received } }

  mutating func take(_ piece: BlobPiece, bytes: Int?) -> BlobTransfer.Outcome {
    guard !isComplete else { return .ignored }
    let outcome = transfers[current].take(piece, bytes: bytes)
    if case .last = outcome { current += 1 }
    return outcome
  }

  mutating func restart() {
    transfers = transfers.map { BlobTransfer($0.name) }
    current = 0
  }
}
