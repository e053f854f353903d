// The store of blobs that a process serves. State, indexes and checkpoints travel as blobs, which the receiver pulls
// piece by piece (`BlobTransfer`).
import Foundation
import Shared
import Wire

/// The blobs that one process serves, by name.
public struct BlobStore: Sendable {
  private var blobs: [String: (Data, BlobDescription)] = [:]

  public init() {}

  /// - Parameter digest: XXH3-128 of the data, if that is known.
  @discardableResult
  public mutating func put(_ name: String, _ data: Data, digest: Digest128? = nil) -> BlobDescription {
    let description = BlobDescription(name: name, bytes: data.count, digest: digest ?? Digest128(of: data))
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

/// The bytes of blobs on their way to this process, in memory of their size; indexes, which may be larger than memory,
/// and the initial model, which is kept, in files. `BlobTransfer` counts them.
public struct IncomingBlobs {
  /// What came with the present message.
  public var payload: Data?
  private var blobs: [String: (bytes: AlignedStorage<UInt8>, count: Int)] = [:]
  private var files: [String: BlobFile] = [:]
  private let folder: String?

  /// - Parameter folder: where the files of indexes and of the initial model go; nil where none is fetched.
  public init(indexesIn folder: String? = nil) { self.folder = folder }

  /// Appends the present message's payload to a blob; a piece at offset 0 begins it anew.
  /// - Throws: `SharedError(.ioError)` where an index's file cannot be written.
  public mutating func keep(_ piece: BlobPiece) throws {
    if let folder, piece.name.hasPrefix("index/") || piece.name.hasPrefix("init/") {
      if piece.offset == 0 { files[piece.name] = try BlobFile(in: folder) }
      if let payload, let file = files[piece.name], piece.offset == file.count { try file.append(payload) }
      return
    }
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

  /// Removes the file of an index or of the initial model. It has no name any more; whoever maps it keeps it.
  public mutating func takeFile(_ name: String) -> BlobFile? { files.removeValue(forKey: name) }

  public mutating func forget(except names: [String] = []) { blobs = blobs.filter { names.contains($0.key) } }
}

extension BlobDescription {
  /// Describes `data`, after hashing all of it.
  public init(name: String, _ data: Data) {
    self.init(name: name, bytes: data.count, digest: Digest128(of: data))
  }
}
