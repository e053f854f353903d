// A file that is written as a stream, so that what is written need never be in memory at once.
import Glibc
import Shared

/// A file in the making. It belongs to one thread at a time.
final class OutputFile {
  let path: String
  private let descriptor: Int32
  /// Bytes that were given to this file.
  private(set) var count = 0
  private var buffer: [UInt8] = []
  private let digest = Digest128Stream()

  private static let bufferBytes = 1 << 20

  private init(path: String, descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
    buffer.reserveCapacity(Self.bufferBytes)
  }

  deinit { close(descriptor) }

  /// A new file; one of this name is replaced.
  static func create(_ path: String) throws(DatasetError) -> OutputFile {
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .failed("cannot be made", path) }
    return OutputFile(path: path, descriptor: descriptor)
  }

  /// A file without a name, which is gone when nobody uses it any more, however this process ends.
  static func temporary(in folder: String) throws(DatasetError) -> OutputFile {
    let descriptor = openNamelessFile(in: folder)
    guard descriptor >= 0 else { throw .failed("cannot hold a temporary file", folder) }
    return OutputFile(path: "\(folder)/(a temporary file)", descriptor: descriptor)
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(DatasetError) {
    count += bytes.count
    if buffer.count + bytes.count > Self.bufferBytes { try flush() }
    if bytes.count >= Self.bufferBytes { try unsafe writeNow(bytes) } else { unsafe buffer.append(contentsOf: bytes) }
  }

  func write(_ bytes: [UInt8]) throws(DatasetError) {
    count += bytes.count
    if buffer.count + bytes.count > Self.bufferBytes { try flush() }
    buffer.append(contentsOf: bytes)
    if buffer.count > Self.bufferBytes { try flush() }
  }

  func flush() throws(DatasetError) {
    let bytes = buffer
    buffer.removeAll(keepingCapacity: true)
    let outcome = unsafe bytes.withUnsafeBytes { bytes in
      do throws(DatasetError) {
        try unsafe writeNow(bytes)
        return Result<Void, DatasetError>.success(())
      } catch { return .failure(error) }
    }
    try outcome.get()
  }

  private func writeNow(_ bytes: UnsafeRawBufferPointer) throws(DatasetError) {
    unsafe digest.update(bytes)
    let code = unsafe writeAll(bytes, to: descriptor)
    guard code == 0 else { throw .failed("cannot be written", path, code: code) }
  }

  /// XXH3-128 of all that was written.
  func written() throws(DatasetError) -> Digest128 {
    try flush()
    return digest.finish()
  }

  /// What was written, mapped.
  func mapped() throws(DatasetError) -> MappedBytes {
    try flush()
    return try MappedBytes(descriptor: descriptor, path: path)
  }

  /// Makes the file durable, and gives it the name `final` in the same folder.
  func place(at final: String) throws(DatasetError) {
    try flush()
    guard fsync(descriptor) == 0 else { throw .failed("cannot be written", path) }
    let code = placeFile(path, at: final)
    guard code == 0 else { throw .failed("cannot be replaced", final, code: code) }
  }
}
