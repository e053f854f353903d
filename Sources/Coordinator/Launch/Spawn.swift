// Starting a worker, or an ssh client: with `spawn` of `Shared`, and this module's error.
import Glibc
import Shared

/// Starts `command` with the given descriptors as standard input and as both outputs.
///
/// - Returns: the new process's id.
/// - Throws: `LaunchError` when the program cannot be started.
func spawn(_ command: [String], environment: [String: String], input: Int32, output: Int32) throws -> pid_t {
  let (pid, code) = spawn(command, environment: environment, descriptors: [input, output, output], in: .session)
  guard let pid else { throw LaunchError("start", command[0], errorNumber: code) }
  return pid
}
