// The worker processes (and ssh clients) that this process started: their standard input, signals to them, their ends.
// How one is started is in Spawn.swift.
import CLinux
import Glibc
import Shared

/// Why a process ended.
enum ExitReason: Hashable, Sendable, CustomStringConvertible {
  case code(Int32)
  case signal(Int32)

  var description: String {
    switch self {
    case .code(let code): "exit code \(code)"
    case .signal(let number): "killed by signal \(number)"
    }
  }

  /// What to do about an end that leaves no line in the log.
  var hint: String? {
    switch self {
    case .signal(SIGILL), .signal(SIGTRAP), .signal(SIGSEGV), .signal(SIGBUS), .signal(SIGFPE):
      "a fault in the program: report it, with what SWIFT_BACKTRACE=enable=yes in the coordinator's environment shows"
    default: nil
    }
  }

  /// From what `waitpid` stored for a process that ended.
  init(waitStatus: Int32) {
    let signal = waitStatus & 0x7f
    self = signal == 0 ? .code((waitStatus >> 8) & 0xff) : .signal(signal)
  }
}

/// The children of this process that launchers started. It belongs to one thread, the coordinator's loop.
///
/// Each child's standard input is a pipe whose other end is held here: it closes when this process ends, however it
/// ends, and tells the child that its coordinator is gone.
final class ChildProcesses {
  /// By process id: the write end of the child's standard input, −1 once it is closed.
  private var inputs: [pid_t: Int32] = [:]

  init() {}

  deinit {
    for input in inputs.values where input >= 0 { close(input) }
  }

  /// The ids of those that were not reaped yet, ascending.
  var running: [pid_t] { inputs.keys.sorted() }

  /// Starts a program in a session of its own, with output appended to the file `log`.
  ///
  /// - Parameter command: the program's absolute path and its arguments.
  /// - Parameter environment: all of it.
  /// - Parameter input: what its standard input begins with; a pipe holds it, so it must be short.
  /// - Throws: `LaunchError` when the log cannot be opened or the program cannot be started.
  func start(_ command: [String], environment: [String: String], log: String, input: [UInt8] = []) throws -> pid_t {
    let output = unsafe open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard output >= 0 else { throw LaunchError("open log", log, errorNumber: errno) }
    defer { close(output) }
    var ends: [Int32] = [-1, -1]
    guard unsafe closeOnExecPipe(&ends) == 0 else { throw LaunchError("pipe for", command[0], errorNumber: errno) }
    defer { close(ends[0]) }
    let unwritten = unsafe input.withUnsafeBytes { unsafe writeAll($0, to: ends[1]) }
    guard unwritten == 0 else {
      close(ends[1])
      throw LaunchError("write to", command[0], errorNumber: unwritten)
    }
    do {
      let pid = try spawn(command, environment: environment, input: ends[0], output: output)
      inputs[pid] = ends[1]
      return pid
    } catch {
      close(ends[1])
      throw error
    }
  }

  /// Closes a child's standard input, the sign that it has no coordinator any more.
  func closeInput(of pid: pid_t) {
    guard let input = inputs[pid], input >= 0 else { return }
    close(input)
    inputs[pid] = -1
  }

  /// Asks a child to end (SIGTERM). Does nothing for one that was reaped.
  func terminate(_ pid: pid_t) { signal(pid, SIGTERM) }

  /// Ends a child at once (SIGKILL). Does nothing for one that was reaped.
  func kill(_ pid: pid_t) { signal(pid, SIGKILL) }

  private func signal(_ pid: pid_t, _ number: Int32) {
    // Only a child that is not reaped yet surely still owns its id.
    if inputs[pid] != nil { _ = Glibc.kill(pid, number) }
  }

  /// The children that have ended since the last call; never waits. Call it when SIGCHLD came.
  func reap() -> [(pid: pid_t, reason: ExitReason)] {
    var ended: [(pid: pid_t, reason: ExitReason)] = []
    // Each by its own id: other parts of the process may have children too.
    for pid in running {
      var status: Int32 = 0
      var result: pid_t
      repeat { result = unsafe waitpid(pid, &status, WNOHANG) } while result == -1 && errno == EINTR
      guard result == pid else { continue }
      closeInput(of: pid)
      inputs[pid] = nil
      ended.append((pid, ExitReason(waitStatus: status)))
    }
    return ended
  }
}
