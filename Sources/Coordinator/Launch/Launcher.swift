// Starting workers: here, or on another host through ssh.
import Foundation
import Glibc
import Shared

/// A worker that was started. Its process here is the worker itself, or the ssh client that runs it elsewhere.
struct LaunchedWorker: Hashable, Sendable {
  let rank: Int
  let processID: pid_t
  /// The file that its output is appended to.
  let log: String
  /// Bytes that the file held before: what follows is this worker's.
  var logStart: UInt64 = 0
}

/// Starts workers in one way. Ends are seen by `ChildProcesses.reap`, signals are sent there too, by process id.
protocol Launcher {
  /// Starts the program of `slot` with `arguments`, which already say all that the worker must know but its keys, which
  /// come first on its standard input.
  ///
  /// - Throws: `LaunchError` when it cannot be started; a failure after that shows as its exit.
  func start(rank: Int, slot: Slot, arguments: [String], input: [UInt8]) throws -> LaunchedWorker
}

/// Where workers' programs and logs are.
struct LaunchSettings: Sendable {
  /// The worker program here; other hosts have it at the same path unless the hosts file says otherwise.
  var workerProgram: String
  /// The directory of the logs; it exists.
  var logDirectory: String
  /// The ssh command with its options, as a shell would read it.
  var sshCommand = "ssh"

  /// What workers get on every host.
  static let environment = environment(of: ProcessInfo.processInfo.environment)

  /// Each worker's own threads run the lanes: libraries must start none. A worker that traps ends at once, without some
  /// seconds and sixty lines of backtrace, unless this process's environment asks for one. And its variables for
  /// OpenBLAS and oneDNN, such as OPENBLAS_CORETYPE, hold on all hosts: they choose kernels, which decide the bits.
  static func environment(of own: [String: String]) -> [String: String] {
    let libraries = own.filter { variable in
      ["OPENBLAS_", "ONEDNN_", "DNNL_"].contains { variable.key.hasPrefix($0) }
    }
    let fixed = [
      "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "SWIFT_BACKTRACE": own["SWIFT_BACKTRACE"] ?? "enable=no",
    ]
    return libraries.merging(fixed) { _, fixed in fixed }
  }

  func log(rank: Int) -> String { "\(logDirectory)/rank-\(rank).log" }

  /// The program `worker` in the directory of the running program.
  static func workerBesideThisProgram() -> String {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("worker").path
  }
}

/// Starts workers as children on this machine.
struct LocalLauncher: Launcher {
  let children: ChildProcesses
  let settings: LaunchSettings

  func start(rank: Int, slot: Slot, arguments: [String], input: [UInt8]) throws -> LaunchedWorker {
    let program = URL(fileURLWithPath: slot.worker ?? settings.workerProgram).path
    guard unsafe access(program, X_OK) == 0 else {
      throw LaunchError(
        .badConfiguration, "\(program) is no program: build it, or name it with worker=PATH in the hosts file")
    }
    let environment = ProcessInfo.processInfo.environment.merging(LaunchSettings.environment) { _, ours in ours }
    let log = settings.log(rank: rank)
    let start = WorkerLog.size(log)
    let pid = try children.start(
      ["/bin/sh", "-c", "\(ignoringHangups) exec \"$0\" \"$@\"", program] + arguments, environment: environment,
      log: log, input: input)
    return LaunchedWorker(rank: rank, processID: pid, log: log, logStart: start)
  }
}

/// Starts workers on other hosts: the child here is an ssh client, whose standard input is the worker's.
///
/// Ending the client closes the worker's standard input. It does not kill the worker, which ends by itself when it
/// loses the coordinator or is evicted. An exit code of 255 is ssh's own: the log has the reason.
struct SSHLauncher: Launcher {
  let children: ChildProcesses
  let settings: LaunchSettings

  func start(rank: Int, slot: Slot, arguments: [String], input: [UInt8]) throws -> LaunchedWorker {
    let remote = Self.remoteCommand(program: slot.worker ?? settings.workerProgram, arguments)
    // Nothing of this machine is offered to the other one: no agent, no display, no forwarded port.
    let options = [
      "-T", "-a", "-x", "-o", "ClearAllForwardings=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o",
      "ServerAliveInterval=15",
    ]
    let port = slot.port.map { ["-p", "\($0)"] } ?? []
    let log = settings.log(rank: rank)
    let start = WorkerLog.size(log)
    // The shell here splits the ssh command that the user gave; everything of ours arrives as words of its own.
    let pid = try children.start(
      ["/bin/sh", "-c", "\(ignoringHangups) exec \(settings.sshCommand) \"$@\"", "ssh"] + options + port
        + [slot.host, "--", remote],
      environment: ProcessInfo.processInfo.environment, log: log, input: input)
    return LaunchedWorker(rank: rank, processID: pid, log: log, logStart: start)
  }

  /// The one string that ssh passes to the user's shell on the remote host, whichever shell that is.
  static func remoteCommand(program: String, _ arguments: [String]) -> String {
    // ssh starts in the home directory, and a quoted tilde would not expand.
    let path = program.hasPrefix("~/") ? "./" + program.dropFirst(2) : program
    let variables = LaunchSettings.environment.map { "\($0.key)=\($0.value)" }.sorted()
    let script = "\(ignoringHangups) exec \(shellCommand(["env"] + variables + [path] + arguments))"
    return "exec /bin/sh -c \(shellQuoted(script))"
  }
}

/// A program keeps ignoring what its shell ignored: closed terminals and broken pipes do not end a worker.
private let ignoringHangups = "trap '' HUP PIPE;"

/// Chooses for each slot how its worker is started.
struct HostLauncher: Launcher {
  let local: LocalLauncher
  let ssh: SSHLauncher

  init(children: ChildProcesses, settings: LaunchSettings) {
    local = LocalLauncher(children: children, settings: settings)
    ssh = SSHLauncher(children: children, settings: settings)
  }

  func start(rank: Int, slot: Slot, arguments: [String], input: [UInt8]) throws -> LaunchedWorker {
    let launcher: any Launcher = slot.isHere ? local : ssh
    return try launcher.start(rank: rank, slot: slot, arguments: arguments, input: input)
  }
}
