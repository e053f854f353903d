// The decisions of the pull protocol: which piece of a blob to request next, and when the blob is complete.

/// One blob in transfer. This only counts; the ports keep the bytes.
struct BlobTransfer {
  enum Outcome {
    /// The payload is the next piece: keep it.
    case keep
    /// The payload is the last piece: keep it.
    case last
    /// Another blob has taken this one's name: start over.
    case restart
    /// It is not the piece that was asked for, or the other side does not have the blob yet.
    case ignored
    case failed(String)
  }

  let name: String
  private var received = 0
  private(set) var description: BlobDescription?

  init(_ name: String) { self.name = name }

  /// The request to send now.
  var request: BlobRequest { BlobRequest(name: name, offset: received) }

  mutating func take(_ piece: BlobPiece, bytes: Int?) -> Outcome {
    guard piece.name == name, piece.offset == received, let whole = piece.description, let bytes else {
      return .ignored
    }
    if let description, description != whole {
      self = BlobTransfer(name)
      return .restart
    }
    guard bytes <= whole.bytes - received, bytes > 0 || whole.bytes == received else {
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
