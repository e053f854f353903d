// Files that are either whole or absent: written under another name, made durable, then renamed.
import Dataset
import Foundation
import Glibc
import Shared

/// A file in the making, and the SHA-256 of what is in it. It belongs to one thread.
final class DurableFile {
  let path: String
  /// What it is called until it is whole.
  private let partial: String
  private let descriptor: Int32
  private(set) var count = 0
  private var hash = SHA256Stream()

  /// - Throws: `DatasetError` if it cannot be made.
  init(_ path: String) throws(DatasetError) {
    (self.path, partial) = (path, path + ".partial")
    descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system("cannot be made", path) }
  }

  deinit { close(descriptor) }

  func write(_ bytes: some ContiguousBytes) throws(DatasetError) {
    let code = unsafe bytes.withUnsafeBytes { bytes in
      unsafe hash.update(bytes)
      count += bytes.count
      return unsafe writeAll(bytes, to: descriptor)
    }
    guard code == 0 else { throw .system("cannot be written", path, code: code) }
  }

  /// Makes what was written durable, still under the other name.
  /// - Returns: SHA-256, as `sha256sum` prints it.
  func end() throws(DatasetError) -> String {
    guard fsync(descriptor) == 0 else { throw .system("cannot be written", path) }
    return hash.finish()
  }

  /// Gives the file its name.
  func place() throws(DatasetError) {
    let code = placeFile(partial, at: path)
    guard code == 0 else { throw .system("cannot be given its name", path, code: code) }
  }

  /// Writes a small file.
  static func write(_ bytes: Data, to path: String) throws(DatasetError) {
    let file = try DurableFile(path)
    try file.write(bytes)
    _ = try file.end()
    try file.place()
  }
}

extension SHA256Stream {
  /// The size and SHA-256 of a file.
  /// - Parameter each: is given each block and its place.
  /// - Throws: `DatasetError` if it cannot be read.
  static func ofFile(
    _ path: String, each: (UnsafeRawBufferPointer, UInt64) -> Void = { _, _ in }
  ) throws(DatasetError) -> (bytes: UInt64, sha256: String) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .system("cannot be opened", path) }
    defer { close(descriptor) }
    let block = AlignedStorage<UInt8>(count: 1 << 20)
    var hash = SHA256Stream()
    var bytes: UInt64 = 0
    while true {
      let count = unsafe read(descriptor, block.base, block.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system("cannot be read", path) }
      if count == 0 { return (bytes, hash.finish()) }
      let read = unsafe UnsafeRawBufferPointer(start: block.base, count: count)
      unsafe hash.update(read)
      unsafe each(read, bytes)
      bytes += UInt64(count)
    }
  }
}

extension DatasetError {
  /// - Parameter problem: "cannot be written" and the like; the system's reason follows.
  static func system(_ problem: String, _ path: String, code: Int32 = errno) -> DatasetError {
    let reason = unsafe String(cString: strerror(code))
    let advice =
      code == ENOSPC || code == EDQUOT
      ? "make room, and give the same command again, which goes on where it was"
      : "see to the disk and the permissions, then give the same command again"
    return DatasetError(.ioError, "\(path): \(problem) (\(reason)); \(advice)")
  }
}
