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
public struct BlobFetch: Sendable {
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

  public init(_ name: String) { self.name = name }

  /// What to ask for now: at the start, and again after a time without an answer.
  public var request: BlobRequest { BlobRequest(name: name, offset: data.count) }

  public mutating func take(_ piece: BlobPiece, _ bytes: Data?) -> Outcome {
    guard piece.name == name, piece.offset == data.count else { return .ignored }
    guard let whole = piece.description, let bytes else { return .notYet }
    if let known = description, known != whole {
      data = Data()
      description = nil
      return .more(request)
    }
    guard data.count + bytes.count <= whole.bytes, !bytes.isEmpty || whole.bytes == data.count else {
      return .failed("'\(name)' came with more or fewer bytes than announced")
    }
    description = whole
    data.append(bytes)
    guard data.count == whole.bytes else { return .more(request) }
    guard Digest128(of: data) == whole.digest else { return .failed("'\(name)' was damaged on its way") }
    return .done(data)
  }
}
