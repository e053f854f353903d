// The store of blobs that a process serves. State, indexes and checkpoints travel as blobs, which the receiver pulls
// piece by piece (`BlobTransfer`).
import Foundation
import Shared
import Wire

/// The blobs that one process serves, by name.
public struct BlobStore: Sendable {
  private var blobs: [String: (Data, BlobDescription)] = [:]

  public init() {}

  @discardableResult
  public mutating func put(_ name: String, _ data: Data) -> BlobDescription {
    let description = BlobDescription(name: name, data)
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
    let piece = data.dropFirst(request.offset).prefix(BlobPiece.most)
    return (BlobPiece(name: request.name, offset: request.offset, description: description), piece)
  }
}

/// The bytes of blobs on their way to this process, in memory of their size. `BlobTransfer` counts them.
public struct IncomingBlobs {
  /// What came with the present message.
  public var payload: Data?
  private var blobs: [String: (bytes: AlignedStorage<UInt8>, count: Int)] = [:]

  public init() {}

  /// Appends the present message's payload to a blob; a piece at offset 0 begins it anew.
  public mutating func keep(_ piece: BlobPiece) {
    if piece.offset == 0 { blobs[piece.name] = (AlignedStorage(count: piece.description?.bytes ?? 0), 0) }
    guard let payload, let (bytes, count) = blobs[piece.name], piece.offset == count,
      payload.count <= bytes.count - count
    else { return }
    unsafe payload.copyBytes(to: UnsafeMutableRawBufferPointer(rebasing: bytes.bytes[count...]))
    blobs[piece.name]?.count += payload.count
  }

  /// The bytes of a blob so far.
  public func bytes(_ name: String) -> Data { blobs[name].map { $0.bytes.data(0..<$0.count) } ?? Data() }

  /// Removes a blob.
  /// - Returns: its bytes, if they are what was announced.
  public mutating func take(_ blob: BlobDescription) -> Data? {
    let bytes = self.bytes(blob.name)
    guard blobs.removeValue(forKey: blob.name) != nil, Digest128(of: bytes) == blob.digest else { return nil }
    return bytes
  }

  public mutating func forget(except names: [String] = []) { blobs = blobs.filter { names.contains($0.key) } }
}

extension BlobDescription {
  /// Describes `data`, after hashing all of it.
  public init(name: String, _ data: Data) {
    self.init(name: name, bytes: data.count, digest: Digest128(of: data))
  }
}
