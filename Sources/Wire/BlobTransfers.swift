// Several blobs that are pulled from one source.

/// Blobs in transfer, one after the other. This only counts; the ports keep the bytes.
public struct BlobTransfers: Sendable {
  public enum Outcome: Sendable {
    /// Ask for the next piece; keep the payload before, if it is one.
    case next(keepsPayload: Bool)
    /// The payload is the last piece of the last blob: keep it.
    case complete
    case ignored
    case failed(String)
  }

  private var transfers: [BlobTransfer]
  private var current = 0

  public init(_ names: [String]) { transfers = names.map { BlobTransfer($0) } }

  public var isComplete: Bool { current == transfers.count }

  /// The request to send now; nil where nothing is missing.
  public var request: BlobRequest? { isComplete ? nil : transfers[current].request }

  /// Of the blobs of which a piece has come, in the order of their names.
  public var descriptions: [BlobDescription] { transfers.compactMap(\.description) }

  /// Bytes that have come.
  public var bytes: Int { transfers.reduce(0) { $0 + $1.request.offset } }

  public mutating func take(_ piece: BlobPiece, bytes: Int?) -> Outcome {
    guard !isComplete else { return .ignored }
    switch transfers[current].take(piece, bytes: bytes) {
    case .keep: return .next(keepsPayload: true)
    case .restart: return .next(keepsPayload: false)
    case .ignored: return .ignored
    case .failed(let reason): return .failed(reason)
    case .last:
      current += 1
      return isComplete ? .complete : .next(keepsPayload: true)
    }
  }

  public mutating func restart() { self = BlobTransfers(transfers.map(\.name)) }
}
