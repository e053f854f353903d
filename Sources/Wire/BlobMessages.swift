// How blobs are described, asked for and handed over, piece by piece.
import Shared

/// A named, immutable piece of data that one side can pull from the other.
public struct BlobDescription: Hashable, Sendable, Codable {
  public var name: String
  public var bytes: Int
  public var digest: Digest128

  public init(name: String, bytes: Int, digest: Digest128) {
    self.name = name
    self.bytes = bytes
    self.digest = digest
  }
}

/// Asks for the piece of a blob that begins at `offset`.
public struct BlobRequest: Hashable, Sendable, Codable {
  public var name: String
  public var offset: Int

  public init(name: String, offset: Int) {
    self.name = name
    self.offset = offset
  }
}

/// A piece of a blob; its bytes travel as the message's second part.
public struct BlobPiece: Hashable, Sendable, Codable {
  /// Bytes of every piece but a blob's last.
  public static let most = 1 << 20

  public var name: String
  public var offset: Int
  /// The whole blob. Nil where the sender does not have it (yet).
  public var description: BlobDescription?

  public init(name: String, offset: Int, description: BlobDescription?) {
    self.name = name
    self.offset = offset
    self.description = description
  }
}
