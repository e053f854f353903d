// Several blobs that are pulled from one source.

/// Blobs in transfer, one after the other. This only counts; the ports keep the bytes.
public struct BlobTransfers: Sendable {
  public enum Outcome: Sendable {
    /// Ask for more; keep the payload before, if it is one.
    case next(keepsPayload: Bool)
    /// The payload is the last piece of the last blob: keep it.
    case complete
    case ignored
    case failed(String)
  }

  private var transfers: [BlobTransfer]
  private var current = 0
  /// Bytes that had come when `repeatedRequests` was last called.
  private var bytesBefore = 0

  public init(_ names: [String]) { transfers = names.map { BlobTransfer($0) } }

  public var isComplete: Bool { current == transfers.count }

  /// The requests to send now: none where nothing is missing, or enough is on its way.
  /// - Parameter again: nothing comes any more, so all that has not come is requested again.
  public mutating func requests(again: Bool = false) -> [BlobRequest] {
    isComplete ? [] : transfers[current].requests(again: again)
  }

  /// To be called now and then: the requests for what is missing where nothing has come since the last call.
  public mutating func repeatedRequests() -> [BlobRequest] {
    defer { bytesBefore = bytes }
    return bytes == bytesBefore ? requests(again: true) : []
  }

  /// What comes next; nil where nothing is missing.
  public var next: (name: String, offset: Int)? {
    isComplete ? nil : (transfers[current].name, transfers[current].received)
  }

  /// Of the blobs of which a piece has come, in the order of their names.
  public var descriptions: [BlobDescription] { transfers.compactMap(\.description) }

  /// Bytes that have come.
  public var bytes: Int { transfers.reduce(0) { $0 + $1.received } }

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
