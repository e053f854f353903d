// Ends a process where nothing can be thrown: without memory no work can go on, and every initialiser that allocates
// would have to throw. The last line on standard error says why, as an error that reaches `main` would.
import CLinux
import Glibc
import Synchronization

/// What a process calls itself in its last line.
public enum ProcessName {
  private static let name = Mutex<String>("")

  /// Such as `worker 3`.
  public static func set(_ text: String) { name.withLock { $0 = text } }

  /// What was set; else the program's file name.
  static var current: String {
    let set = name.withLock { $0 }
    return set.isEmpty ? String(CommandLine.arguments.first?.split(separator: "/").last ?? "tamring") : set
  }
}

/// Ends the process with one line on standard error, and no destructors: other threads still run.
///
/// Only the first caller ends it: several threads meet the same lack of memory.
public func endProcess(_ status: ExitStatus, _ text: String) -> Never {
  if isEnding.exchange(true, ordering: .sequentiallyConsistent) { while true { pause() } }
  let line = Array("\(ProcessName.current): \(text)\n".utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
  _exit(status.rawValue)
}

/// Ends the process because the system gives it no memory. A host without memory is unavailable (69), no I/O failed.
public func endWithoutMemory(for bytes: Int) -> Never { endWithoutMemory("for \(bytes) bytes") }

/// Has C++ libraries end the process in the same way: nobody would catch their exceptions.
public func endWhereLibrariesLackMemory() {
  setNewHandler { endWithoutMemory("for a library") }
}

private func endWithoutMemory(_ purpose: String) -> Never {
  endProcess(
    .unavailable,
    "no memory \(purpose): use fewer threads or slots on this host, a smaller batch.clips_per_lane or model, "
      + "or raise the limit (ulimit -v, or the container's)")
}

private let isEnding = Atomic<Bool>(false)
