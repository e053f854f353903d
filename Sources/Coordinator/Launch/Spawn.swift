// Starting a program with posix_spawn: a session of its own, default signals, and no open file but the first three.
import CLinux
import Glibc
import Shared

/// Starts `command` with the given descriptors as standard input and as both outputs.
///
/// - Returns: the new process's id.
/// - Throws: `LaunchError` when the program cannot be started.
func spawn(_ command: [String], environment: [String: String], input: Int32, output: Int32) throws -> pid_t {
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
  unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
  unsafe posix_spawn_file_actions_adddup2(&actions, output, 2)
  unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)

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
  let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | Int32(spawnInOwnSession)
  unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

  let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
  var pid: pid_t = -1
  let code = unsafe withCStrings(command) { arguments in
    unsafe withCStrings(variables) { variables in
      unsafe posix_spawn(&pid, command[0], &actions, &attributes, arguments, variables)
    }
  }
  guard code == 0 else { throw LaunchError("start", command[0], errorNumber: code) }
  return pid
}

/// Calls `body` with a null-terminated list of C strings.
private func withCStrings<Result>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
  let copies = unsafe strings.map { unsafe strdup($0) }
  defer { unsafe copies.forEach { unsafe free($0) } }
  return unsafe body(copies + [nil])
}
