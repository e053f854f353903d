// Whether a process holds a run's lock, for readers of the run.
import Foundation

extension RunLock {
  /// Whether a coordinator works in `directory`. Nothing is made or kept.
  public static func isHeld(_ directory: String) -> Bool {
    let file = unsafe open("\(directory)/run.lock", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    return flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
  }
}
