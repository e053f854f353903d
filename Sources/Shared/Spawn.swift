// Starting a program with posix_spawn: default signals, no Ctrl-C, and no open file but those that it is given.
import CLinux
import Glibc

/// What a new process leaves, so that no terminal's signals reach it.
public enum SpawnIsolation: Sendable {
  /// A session of its own, which outlives the terminal.
  case session
  /// A process group of its own. Within a session Linux shares processors out among threads, whichever processes they
  /// belong to; sessions get equal shares.
  case group
}

/// Starts `command`.
///
/// - Parameters:
///   - command: the program's absolute path and its arguments.
///   - environment: all of it.
///   - descriptors: its files 0, 1, 2…
/// - Returns: the new process's id, or the error number where it cannot be started.
public func spawn(
  _ command: [String], environment: [String: String], descriptors: [Int32], in isolation: SpawnIsolation
) -> (pid: pid_t?, errorNumber: Int32) {
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  for (place, descriptor) in descriptors.enumerated() {
    unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(place))
  }
  unsafe posix_spawn_file_actions_addclosefrom_np(&actions, Int32(descriptors.count))

  var attributes = posix_spawnattr_t()
  unsafe posix_spawnattr_init(&attributes)
  defer { unsafe posix_spawnattr_destroy(&attributes) }
  var none = sigset_t()
  unsafe sigemptyset(&none)
  unsafe posix_spawnattr_setsigmask(&attributes, &none)
  var defaults = sigset_t()
  unsafe sigemptyset(&defaults)
  for signal in [SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGHUP] { unsafe sigaddset(&defaults, signal) }
  unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
  unsafe posix_spawnattr_setpgroup(&attributes, 0)
  let apart = isolation == .session ? Int32(spawnInOwnSession) : Int32(POSIX_SPAWN_SETPGROUP)
  let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | apart
  unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

  let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
  var pid: pid_t = -1
  let code = unsafe withCStrings(command) { arguments in
    unsafe withCStrings(variables) { variables in
      unsafe posix_spawn(&pid, command[0], &actions, &attributes, arguments, variables)
    }
  }
  return code == 0 ? (pid, 0) : (nil, code)
}

/// Calls `body` with a null-terminated list of C strings.
private func withCStrings<Result>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
  let copies = unsafe strings.map { unsafe strdup($0) }
  defer { unsafe copies.forEach { unsafe free($0) } }
  return unsafe body(copies + [nil])
}
