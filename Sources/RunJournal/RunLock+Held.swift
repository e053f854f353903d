// Whether a process holds a run's lock, for those who only read the run.
import Foundation

extension RunLock {
  /// Whether a coordinator runs in `directory`. It creates no file, and keeps no lock.
  public static func isHeld(_ directory: String) -> Bool {
    let file = unsafe open("\(directory)/run.lock", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    return flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
  }
}
