// Blobs: the pull protocol by which state, indexes and checkpoints travel, as plain values.
import Foundation

/// Blobs that one process serves, by name.
public struct BlobShelf: Sendable {
  private var blobs: [String: (Data, BlobDescription)] = [:]

  public init() {}

  @discardableResult
  public mutating func put(_ name: String, _ data: Data) -> BlobDescription {
    let description = BlobDescription(name: name, bytes: data.count, digest: Digest128(of: data))
    blobs[name] = (data, description)
    return description
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

/// One blob being fetched, a piece at a time. Pieces that were not asked for are ignored.
///
/// A class, so that whoever keeps it in a struct or an enum appends to the bytes that are there, and never to a copy.
public final class BlobFetch {
  public enum Outcome: Equatable, Sendable {
    /// Ask (again) for this.
    case more(BlobRequest)
    case done(Data)
    /// The other side does not have it yet; ask again a little later.
    case notYet
    case failed(String)
    case ignored
  }

  public let name: String
  private var data = Data()
  private var description: BlobDescription?
  private let limit: Int

  /// - Parameter limit: bytes that the blob may have; one that is described as longer is refused.
  public init(_ name: String, limit: Int = MessageLimits.blobBytes) {
    self.name = name
    self.limit = limit
  }

  /// What to ask for now: at the start, and again after a time without an answer.
  public var request: BlobRequest { BlobRequest(name: name, offset: data.count) }

  public func take(_ piece: BlobPiece, _ bytes: Data?) -> Outcome {
    guard piece.name == name, piece.offset == data.count else { return .ignored }
    guard let whole = piece.description, let bytes else { return .notYet }
    if let known = description, known != whole {
      data = Data()
      description = nil
      return .more(request)
    }
    guard (0...limit).contains(whole.bytes) else {
      return .failed("'\(name)' is announced with \(whole.bytes) bytes, of which \(limit) are allowed")
    }
    guard bytes.count <= whole.bytes - data.count, !bytes.isEmpty || whole.bytes == data.count else {
      return .failed("'\(name)' came with more or fewer bytes than announced")
    }
    description = whole
    data.append(bytes)
    guard data.count == whole.bytes else { return .more(request) }
    guard Digest128(of: data) == whole.digest else { return .failed("'\(name)' was damaged on its way") }
    return .done(data)
  }
}
