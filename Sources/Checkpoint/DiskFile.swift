// The one gateway to the file system: each call retries EINTR and throws with its name, path and errno.
import CLinux
import Foundation
import Shared

/// Makes a system call that returns -1 and sets `errno` when it fails.
/// - Parameter retries: whether to retry it when a signal interrupted it.
/// - Throws: `CheckpointError` with the call's name, the path and `errno`.
@discardableResult
func systemCall<Result: FixedWidthInteger>(
  _ operation: String, _ path: String, retries: Bool = true, _ body: () -> Result
) throws -> Result {
  while true {
    let result = body()
    if result != -1 { return result }
    if errno != EINTR || !retries { throw CheckpointError(operation, path: path, errno: errno) }
  }
}

/// Distinguishes a file from one that was rewritten since.
struct FileState: Hashable {
  let size: Int
  private let inode: UInt64
  private let seconds: Int
  private let nanoseconds: Int

  init(_ path: String) throws {
    var status = stat()
    try systemCall("stat", path) { unsafe stat(path, &status) }
    self.init(status)
  }

  fileprivate init(_ status: stat) {
    size = Int(status.st_size)
    inode = UInt64(status.st_ino)
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
  }
}

/// An open file. Not to be used by two threads at once.
final class DiskFile {
  let path: String
  private var descriptor: Int32

  private init(path: String, flags: Int32) throws {
    self.path = path
    descriptor = try systemCall("open", path) { unsafe open(path, flags | O_CLOEXEC, 0o644) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  static func create(_ path: String) throws -> DiskFile { try DiskFile(path: path, flags: O_WRONLY | O_CREAT | O_EXCL) }

  /// - Throws: `CheckpointError`, bad data, if it is no regular file: a pipe would be waited for without end.
  static func read(_ path: String) throws -> DiskFile {
    let file = try DiskFile(path: path, flags: O_RDONLY | O_NONBLOCK)
    var status = stat()
    try systemCall("fstat", path) { unsafe fstat(file.descriptor, &status) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CheckpointError(badData: "is not a regular file", path: path)
    }
    file.state = FileState(status)
    return file
  }

  /// When it was opened for reading; nil for one that is being written.
  private(set) var state: FileState?

  /// Writes all of `data` at the file's position.
  func write(_ data: Data) throws {
    let code = unsafe data.withUnsafeBytes { unsafe writeAll($0, to: descriptor) }
    guard code == 0 else { throw CheckpointError("write", path: path, errno: code) }
  }

  /// Bytes that are read at a time.
  private static let pieceBytes = 1 << 20

  /// Passes on the rest of the file, piece by piece.
  func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let piece = AlignedStorage<UInt8>(count: Self.pieceBytes)
    while case let got = unsafe try read(into: piece.bytes), got > 0 {
      unsafe try body(UnsafeRawBufferPointer(rebasing: piece.bytes[..<got]))
    }
  }

  /// The first bytes of a file that was just opened, at most `limit` of them.
  func start(_ limit: Int) throws -> Data {
    let bytes = AlignedStorage<UInt8>(count: limit)
    var count = 0
    while count < limit,
      case let got = unsafe try read(into: UnsafeMutableRawBufferPointer(rebasing: bytes.bytes[count...])), got > 0
    { count += got }
    return bytes.data(0..<count)
  }

  /// - Returns: the number of bytes, which is 0 at the end of the file.
  private func read(into bytes: UnsafeMutableRawBufferPointer) throws -> Int {
    try systemCall("read", path) {
      unsafe Foundation.read(descriptor, bytes.baseAddress, min(bytes.count, Self.pieceBytes))
    }
  }

  /// Makes the contents durable, then asks the kernel to forget them, so that reading back reads the disk.
  ///
  /// A failed fsync is not retried, not even an interrupted one: the kernel may have dropped the pages that it could
  /// not write, and reports each failure only once.
  func sync() throws {
    try systemCall("fsync", path, retries: false) { fsync(descriptor) }
    _ = posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
  }

  func closeFile() throws {
    let closing = descriptor
    descriptor = -1
    // Linux frees the descriptor even when close fails, so EINTR must not close again.
    if closing >= 0, close(closing) == -1, errno != EINTR { throw CheckpointError("close", path: path, errno: errno) }
  }
}

/// Operations on directories.
enum Directory {
  /// Makes `path` and the directories above it, where they are missing.
  static func create(_ path: String) throws {
    if try exists(path) { return }
    let parent = (path as NSString).deletingLastPathComponent
    if !parent.isEmpty, parent != path { try create(parent) }
    try systemCall("mkdir", path) { unsafe mkdir(path, 0o755) }
    if !parent.isEmpty { try sync(parent) }
  }

  /// - Throws: `CheckpointError` if that is unknown: to take an unreadable file for a missing one could lose a run.
  static func exists(_ path: String) throws -> Bool {
    var status = stat()
    do { try systemCall("stat", path) { unsafe stat(path, &status) } } catch let error as CheckpointError
      where error.code == ENOENT
    { return false }
    return true
  }

  /// The names in `path`, sorted.
  static func names(_ path: String) throws -> [String] {
    var names: [String] = []
    do throws(DirectoryProblem) {
      try forEachEntry(ofDirectory: path) { names.append($0.name) }
    } catch { throw CheckpointError(error.operation, path: path, errno: error.code) }
    return names.sorted()
  }

  /// Makes the names in `path` durable.
  static func sync(_ path: String) throws {
    let descriptor = try systemCall("open", path) { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    defer { close(descriptor) }
    try systemCall("fsync", path, retries: false) { fsync(descriptor) }
  }

  static func rename(_ from: String, to: String) throws {
    try systemCall("rename", to) { unsafe Foundation.rename(from, to) }
  }

  /// Gives `from` the name `to`. What has that name already goes under the name `from`, and at every moment one of
  /// the two is there under the name `to`.
  /// - Returns: whether something had the name.
  static func place(_ from: String, at to: String) throws -> Bool {
    do {
      try rename(from, to: to)
      return false
    } catch let error as CheckpointError where [EEXIST, ENOTEMPTY, ENOTDIR].contains(error.code) {}
    do {
      try systemCall("renameat2", to) { unsafe exchangeNames(from, to) }
    } catch let error as CheckpointError where [EINVAL, ENOSYS, EOPNOTSUPP].contains(error.code) {
      // Some network file systems cannot exchange names; there, a moment without the name cannot be helped.
      let aside = from + "-replaced"
      try rename(to, to: aside)
      try rename(from, to: to)
      try rename(aside, to: from)
    }
    return true
  }

  /// Removes `path` and everything in it.
  static func remove(_ path: String) throws {
    do { try systemCall("unlink", path) { unsafe unlink(path) } } catch let error as CheckpointError
      where error.code == EISDIR || error.code == EPERM
    {
      for name in try names(path) { try remove("\(path)/\(name)") }
      try systemCall("rmdir", path) { unsafe rmdir(path) }
    }
  }
}
