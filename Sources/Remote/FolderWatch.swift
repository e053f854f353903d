// Waits for what other processes do in a folder: a download that grows, a lock that is given up.
import CLinux
import Glibc

/// Sees that files of a folder are written, moved or closed; a process that ends closes its files.
@safe
final class FolderWatch {
  private let descriptor: Int32

  init(_ folder: String) {
    descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    _ = unsafe inotify_add_watch(
      descriptor, folder, UInt32(IN_MODIFY | IN_CLOSE | IN_MOVED_TO | IN_DELETE | IN_CREATE))
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Waits for the next event.
  /// - Parameter limit: the longest wait. Folders that other hosts write to, and systems without room for a watch, have
  ///   no events.
  /// - Returns: whether there was one.
  func wait(atMost limit: Duration) -> Bool {
    let milliseconds =
      Int32(clamping: limit.components.seconds * 1000) + Int32(limit.components.attoseconds / 1_000_000_000_000_000)
    var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&item, 1, milliseconds) > 0 else { return false }
    var events = [UInt8](repeating: 0, count: 4096)
    while unsafe read(descriptor, &events, events.count) > 0 {}
    return true
  }
}
