// The decisions of the pull protocol: which piece of a blob to request next, and when the blob is complete.

/// One blob in transfer. It only counts; the ports keep the bytes.
public struct BlobTransfer: Sendable {
  public enum Outcome: Sendable {
    /// The payload is the next piece: keep it, and ask for what comes after it.
    case keep(BlobRequest)
    /// The payload is the last piece.
    case last
    /// Another blob has taken this one's name: start over.
    case restart(BlobRequest)
    /// The other side does not have the blob yet.
    case notYet
    case ignored
    case failed(String)
  }

  public let name: String
  private var received = 0
  public private(set) var description: BlobDescription?

  public init(_ name: String) { self.name = name }

  /// The request to send now.
  public var request: BlobRequest { BlobRequest(name: name, offset: received) }

  public mutating func take(_ piece: BlobPiece, bytes: Int?) -> Outcome {
    guard piece.name == name, piece.offset == received else { return .ignored }
    guard let whole = piece.description, let bytes else { return .notYet }
    if let description, description != whole {
      self = BlobTransfer(name)
      return .restart(request)
    }
    guard bytes <= whole.bytes - received, bytes > 0 || whole.bytes == received else {
      return .failed("'\(name)' came with more or fewer bytes than announced")
    }
    description = whole
    received += bytes
    return received == whole.bytes ? .last : .keep(request)
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
