// The store of blobs that a process serves. State, indexes and checkpoints travel as blobs, which the receiver pulls
// piece by piece (`BlobTransfer`).
import Foundation
import Shared
import Wire

/// The blobs that one process serves, by name.
public struct BlobShelf: Sendable {
  private var blobs: [String: (Data, BlobDescription)] = [:]

  public init() {}

  @discardableResult
  public mutating func put(_ name: String, _ data: Data) -> BlobDescription {
    let description = BlobDescription(name: name, data)
    put(data, as: description)
    return description
  }

  /// - Parameter description: the description of `data`.
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

extension BlobDescription {
  /// Describes `data`, after hashing all of it.
  public init(name: String, _ data: Data) {
    self.init(name: name, bytes: data.count, digest: Digest128(of: data))
  }
}
