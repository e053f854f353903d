// The lock that lets one coordinator at a time own a run directory.
import Foundation

/// An exclusive lock on `DIRECTORY/run.lock`. The process holds it until it releases it or ends, however it ends.
///
/// Sendable because nothing in it changes after `init`.
public final class RunLock: Sendable {
  private let descriptor: Int32

  /// - Parameter owner: describes the owner to processes that are refused.
  /// - Throws: `JournalError`: unavailable if another process holds the lock, I/O if the file cannot be created.
  public init(_ directory: String, owner: String = RunLock.thisProcess) throws {
    let path = "\(directory)/run.lock"
    var file = try Self.locked(path)
    // Whoever held it may have removed it, with a directory in which no run was begun.
    while !Self.isNamed(file, path) {
      close(file)
      file = try Self.locked(path)
    }
    let text = Array("\(owner)\n".utf8)
    guard ftruncate(file, 0) == 0, unsafe pwrite(file, text, text.count, 0) == text.count else {
      let code = errno
      close(file)
      throw JournalError.system("write", path, errno: code)
    }
    descriptor = file
  }

  /// Leaves no process id behind. One that is killed does; nobody holds the lock then.
  deinit {
    _ = ftruncate(descriptor, 0)
    close(descriptor)
  }

  private static func locked(_ path: String) throws -> Int32 {
    // Closed on exec: a worker that outlives its coordinator must not keep the lock.
    let file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw JournalError.system("open", path, errno: errno) }
    while flock(file, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EINTR { continue }
      defer { close(file) }
      guard code == EWOULDBLOCK else { throw JournalError.system("flock", path, errno: code) }
      throw JournalError(
        .unavailable, path,
        "another coordinator (\(contents(file))) uses this run directory; stop it or choose another --run-dir")
    }
    return file
  }

  private static func isNamed(_ file: Int32, _ path: String) -> Bool {
    var (held, named) = (stat(), stat())
    return unsafe fstat(file, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino
      && held.st_dev == named.st_dev
  }

  /// "pid N on HOST".
  public static var thisProcess: String {
    "pid \(ProcessInfo.processInfo.processIdentifier) on \(ProcessInfo.processInfo.hostName)"
  }

  static func contents(_ file: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe pread(file, &bytes, bytes.count, 0)
    guard count > 0 else { return "unknown" }
    return String(decoding: bytes.prefix(count), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
