// The decisions of the pull protocol: which pieces of a blob to request next, and when the blob is complete.

/// One blob in transfer. This only counts; the ports keep the bytes.
struct BlobTransfer {
  enum Outcome {
    /// The payload is the next piece: keep it.
    case keep
    /// The payload is the last piece: keep it.
    case last
    /// Another blob has taken this one's name: start over.
    case restart
    /// It is not the piece that comes next, or the other side does not have the blob yet.
    case ignored
    case failed(String)
  }

  /// Pieces that are on their way at a time, so that neither side waits for the other.
  static let window = 8

  let name: String
  private(set) var received = 0
  /// Every piece below was requested.
  private var requested = 0
  private(set) var description: BlobDescription?

  init(_ name: String) { self.name = name }

  /// The requests to send now: none while enough pieces are on their way.
  /// - Parameter again: nothing comes any more, so all that has not come is requested again.
  mutating func requests(again: Bool) -> [BlobRequest] {
    if again { requested = received }
    // Only the first piece tells whether there is a second one.
    let end = description.map { min($0.bytes, received + Self.window * BlobPiece.most) } ?? received + 1
    var requests: [BlobRequest] = []
    while requested < end {
      requests.append(BlobRequest(name: name, offset: requested))
      requested += BlobPiece.most
    }
    return requests
  }

  mutating func take(_ piece: BlobPiece, bytes: Int?) -> Outcome {
    guard piece.name == name, piece.offset == received, let whole = piece.description, let bytes else {
      return .ignored
    }
    if let description, description != whole {
      self = BlobTransfer(name)
      return .restart
    }
    guard bytes == min(whole.bytes - received, BlobPiece.most) else {
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
  /// What the batch norms of the state before a step were measured to be.
  public static func norms(_ step: UInt64) -> String { "norms/\(step)" }
  public static func trainer(_ step: UInt64) -> String { prefix(step) + trainerName }
}
