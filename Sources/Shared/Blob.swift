// Blobs: the pull protocol by which state, indexes and checkpoints travel, as plain values.
import Foundation

/// Blobs that one process serves, by name.
public struct BlobStore: Sendable {
  private var blobs: [String: (Data, BlobDescription)] = [:]

  public init() {}

  @discardableResult
  public mutating func put(_ name: String, _ data: Data) -> BlobDescription {
    let description = BlobDescription(name: name, data)
    put(data, as: description)
    return description
  }

  /// - Parameter description: of these bytes.
  public mutating func put(_ data: Data, as description: BlobDescription) {
    blobs[description.name] = (data, description)
  }

  public mutating func removeAll(where matches: (String) -> Bool) {
    for name in blobs.keys where matches(name) { blobs[name] = nil }
  }

  public func description(_ name: String) -> BlobDescription? { blobs[name]?.1 }

  /// The answer to a request, and its bytes.
  public func answer(_ request: BlobRequest) -> (BlobPiece, Data?) {
    guard let (data, description) = blobs[request.name], request.offset >= 0, request.offset <= data.count else {
      return (BlobPiece(name: request.name, offset: request.offset, description: nil), nil)
    }
    let end = min(data.count, request.offset + ControlCodec.pieceBytes)
    let piece = data.subdata(in: data.startIndex + request.offset..<data.startIndex + end)
    return (BlobPiece(name: request.name, offset: request.offset, description: description), piece)
  }
}

/// The bytes of blobs on their way to this process.
public struct IncomingBlobs: Sendable {
  /// What came with the present message.
  public var payload: Data?
  private var blobs: [String: Data] = [:]

  public init() {}

  /// Appends the present message's payload to a blob; a piece at offset 0 begins it anew.
  public mutating func keep(_ piece: BlobPiece) {
    if piece.offset == 0 { blobs[piece.name] = Data(capacity: piece.description?.bytes ?? 0) }
    blobs[piece.name]?.append(payload ?? Data())
  }

  /// The bytes of a blob so far.
  public func bytes(_ name: String) -> Data { blobs[name] ?? Data() }

  /// Removes a blob.
  /// - Returns: its bytes, if they are what was announced.
  public mutating func take(_ blob: BlobDescription) -> Data? {
    guard let bytes = blobs.removeValue(forKey: blob.name), Digest128(of: bytes) == blob.digest else { return nil }
    return bytes
  }

  public mutating func forget(except names: [String] = []) { blobs = blobs.filter { names.contains($0.key) } }
}

extension BlobDescription {
  /// Describes `data`, which it reads once.
  public init(name: String, _ data: Data) {
    self.init(name: name, bytes: data.count, digest: Digest128(of: data))
  }
}
