// Worker processes on this machine that an earlier coordinator started. They are not children of this process, but it
// sees their ends and can signal them all the same.
import CLinux
import Foundation
import Glibc

/// Processes that this one did not start, each by a descriptor that the kernel ties to that process and to no later
/// one of the same id. It belongs to one thread, the coordinator's loop.
final class AdoptedProcesses {
  private var descriptors: [pid_t: Int32] = [:]

  init() {}

  deinit { for descriptor in descriptors.values { close(descriptor) } }

  /// Watches a process.
  /// - Returns: false if there is none of this id, or it is not the worker of this rank.
  func adopt(_ pid: pid_t, rank: Int) -> Bool {
    guard descriptors[pid] == nil else { return true }
    let descriptor = openProcess(pid)
    guard descriptor >= 0 else { return false }
    let words = (FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()).split(separator: 0)
    let place = words.firstIndex(of: Data("--rank".utf8)).map { $0 + 1 } ?? words.endIndex
    guard place < words.endIndex, words[place] == Data("\(rank)".utf8) else {
      close(descriptor)
      return false
    }
    // Child processes must not inherit it.
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    descriptors[pid] = descriptor
    return true
  }

  var isEmpty: Bool { descriptors.isEmpty }
  var all: [pid_t] { descriptors.keys.sorted() }

  /// Descriptors that become readable when a process ends.
  var waitable: [Int32] { descriptors.values.sorted() }

  func contains(_ pid: pid_t) -> Bool { descriptors[pid] != nil }

  /// Ends a process at once; does nothing for one that is not watched.
  func kill(_ pid: pid_t) {
    guard let descriptor = descriptors[pid], !hasEnded(descriptor) else { return }
    _ = Glibc.kill(pid, SIGKILL)
  }

  /// The processes that have ended since the last call.
  func reap() -> [pid_t] {
    let ended = descriptors.filter { hasEnded($0.value) }.keys.sorted()
    for pid in ended {
      if let descriptor = descriptors.removeValue(forKey: pid) { close(descriptor) }
    }
    return ended
  }

  private func hasEnded(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, 0) == 1
  }
}
