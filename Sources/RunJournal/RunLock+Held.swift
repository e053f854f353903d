// Which process holds a run's lock, for those who only read the run.
import Foundation

extension RunLock {
  /// Whether a coordinator runs in `directory`. It creates no file, and keeps no lock.
  public static func isHeld(_ directory: String) -> Bool { holder(of: directory) != nil }

  /// The coordinator that runs in `directory`, as "pid N on HOST"; nil if none does. It creates no file, and keeps no
  /// lock.
  public static func holder(of directory: String) -> String? {
    let file = unsafe open("\(directory)/run.lock", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    guard flock(file, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
    return contents(file)
  }
}
