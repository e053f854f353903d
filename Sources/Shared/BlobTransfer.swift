// The decisions of the pull protocol: which piece of a blob to request next, and when the blob is complete.

/// One blob in transfer. This only counts; the ports keep the bytes.
public struct BlobTransfer: Sendable {
  public enum Outcome: Sendable {
    /// The payload is the next piece.
    case keep
    /// The payload is the last piece.
    case last
    /// Another blob has taken this one's name: start over.
    case restart
    /// The other side does not have the blob yet.
    case notYet
    case ignored
    case failed(String)
  }

  /// Pieces that are on their way at a time, so that neither side waits for the other.
  static let window = 8

  public let name: String
  public private(set) var received = 0
  /// Every piece below was requested.
  private var requested = 0
  public private(set) var description: BlobDescription?

  public init(_ name: String) { self.name = name }

  /// The requests to send now: none while enough pieces are on their way.
  public mutating func requests() -> [BlobRequest] {
    // Only the first piece tells whether there is a second one.
    let end = description.map { min($0.bytes, received + Self.window * ControlCodec.pieceBytes) } ?? received + 1
    var requests: [BlobRequest] = []
    while requested < end {
      requests.append(BlobRequest(name: name, offset: requested))
      requested += ControlCodec.pieceBytes
    }
    return requests
  }

  /// The requests to send where nothing comes any more: for all that has not come.
  public mutating func requestsAgain() -> [BlobRequest] {
    requested = received
    return requests()
  }

  public mutating func take(_ piece: BlobPiece, bytes: Int?) -> Outcome {
    guard piece.name == name, piece.offset == received else { return .ignored }
    guard let whole = piece.description, let bytes else { return .notYet }
    if let description, description != whole {
      self = BlobTransfer(name)
      return .restart
    }
    guard bytes == min(whole.bytes - received, ControlCodec.pieceBytes) else {
      return .failed("'\(name)' came with more or fewer bytes than announced")
    }
    description = whole
    received += bytes
    return received == whole.bytes ? .last : .keep
  }
}

/// The names under which a state travels.
public enum StateBlobs {
  public static let modelName = "model.safetensors"
  public static let trainerName = "trainer.safetensors"

  public static func prefix(_ step: UInt64) -> String { "state/\(step)/" }
  public static func model(_ step: UInt64) -> String { prefix(step) + modelName }
  public static func trainer(_ step: UInt64) -> String { prefix(step) + trainerName }
}
