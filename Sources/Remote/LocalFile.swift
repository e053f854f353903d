// A file of this host that holds bytes from the web, for as long as somebody reads them.
import Foundation
import Glibc
import Shared

/// A file in the cache, which is not removed while this exists; or bytes that were read for once.
public final class LocalFile: Sendable {
  private let descriptor: Int32
  /// What the file is opened by, also by other processes of this user, while this exists. The file may have no name.
  public var path: String { "/proc/\(getpid())/fd/\(descriptor)" }
  /// Tells one download from the next; nil for bytes that were read for once.
  public let identity: String?

  /// Takes a descriptor over.
  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    identity = nil
  }

  /// Holds the cached file at `path`. Nil if it is not there any more.
  init?(holding path: String) {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    var facts = stat()
    // Whoever evicts has the other lock; it may have done so before this one was had.
    guard retried({ flock(opened, LOCK_SH) }) == 0, unsafe fstat(opened, &facts) == 0, facts.st_nlink > 0 else {
      close(opened)
      return nil
    }
    // The time of the last use. If somebody else owns the file, that is theirs.
    futimens(opened, nil)
    descriptor = opened
    identity = path
  }

  deinit { close(descriptor) }
}

/// A lock on a file, which ends with the process at the latest.
final class FileLock: Sendable {
  private let descriptor: Int32

  /// Waits for the lock at `path`, which others hold for moments only.
  init(waitingFor path: String) throws(RemoteError) {
    descriptor = try FileLock.opened(path)
    _ = retried { flock(descriptor, LOCK_EX) }
  }

  /// - Returns: nil if somebody has the lock.
  init?(tryingFor path: String) throws(RemoteError) {
    descriptor = try FileLock.opened(path)
    guard retried({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 else { return nil }
  }

  deinit { close(descriptor) }

  private static func opened(_ path: String) throws(RemoteError) -> Int32 {
    let opened = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard opened >= 0 else { throw RemoteError.cache(path, errno) }
    return opened
  }
}

extension RemoteError {
  /// A failure of the cache's own folder.
  static func cache(_ path: String, _ number: Int32) -> RemoteError {
    let text = unsafe String(cString: strerror(number))
    // A full disk, or a lack of descriptors, may pass. A folder that may not be written stays so.
    let stays = [EACCES, EPERM, EROFS, ENOTDIR].contains(number)
    return RemoteError(
      stays ? .refused : .passing, path, text,
      "the cache is there; name another folder with TAMRING_CACHE, --cache or cache= in the hosts file")
  }
}

/// Calls again what a signal interrupted.
func retried(_ call: () -> Int32) -> Int32 {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}
