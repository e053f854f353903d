import Foundation
import Shared
import TestSupport
import Testing

@testable import Coordinator

/// Waits until a child has ended, without reaping it.
func waitUntilEnded(_ pid: pid_t) {
  var information = siginfo_t()
  while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == -1 && errno == EINTR {}
}

/// A named pipe, by which a script tells a test how far it has come.
struct NamedPipe {
  let path: String

  init(_ folder: TemporaryFolder, _ name: String) throws {
    path = folder.path(name)
    try #require(mkfifo(path, 0o600) == 0)
  }

  /// Waits for the next writer, and returns all that it wrote.
  func next() throws -> String {
    let handle = try #require(FileHandle(forReadingAtPath: path))
    return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
  }
}

@Suite(.timeLimit(.minutes(1))) struct LaunchProcessTests {
  private let folder: TemporaryFolder
  private let children = ChildProcesses()
  private let launcher: HostLauncher

  init() throws {
    folder = try TemporaryFolder()
    let settings = LaunchSettings(workerProgram: folder.path("worker"), logDirectory: folder.url.path)
    launcher = HostLauncher(children: children, settings: settings)
  }

  /// Starts `script` as rank 0's worker on this machine.
  private func start(_ script: String, _ arguments: [String] = []) throws -> LaunchedWorker {
    try folder.write("#!/bin/sh\n\(script)\n", to: "worker", permissions: 0o700)
    return try launcher.start(
      rank: 0, slot: Slot(rank: 0, host: "localhost"), arguments: arguments, input: [])
  }

  private func end(of worker: LaunchedWorker) throws -> ExitReason {
    waitUntilEnded(worker.processID)
    let ended = children.reap()
    #expect(ended.map(\.pid) == [worker.processID])
    #expect(children.running == [])
    return try #require(ended.first?.reason)
  }

  @Test("what chooses the kernels of the libraries is the same on all hosts; threads of their own are never wanted")
  func kernels() {
    let own = ["OPENBLAS_CORETYPE": "Haswell", "ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_NUM_THREADS": "4", "HOME": "h"]
    #expect(
      LaunchSettings.environment(of: own) == [
        "OPENBLAS_CORETYPE": "Haswell", "ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "SWIFT_BACKTRACE": "enable=no",
      ])
  }

  @Test("a worker leads a session of its own, gets its arguments and settings, and both outputs go to its log")
  func environment() throws {
    try folder.write("before\n", to: "rank-0.log")
    let worker = try start(
      "cut -d ' ' -f 6 /proc/$$/stat; echo $$ >&2; echo \"$1|$2|$#\"; echo $OMP_NUM_THREADS$OPENBLAS_NUM_THREADS$SWIFT_BACKTRACE",
      ["a b'c", "*"])
    #expect(worker.rank == 0)
    #expect(try end(of: worker) == .code(0))
    let pid = worker.processID
    #expect(try folder.text("rank-0.log") == "before\n\(pid)\n\(pid)\na b'c|*|2\n11enable=no\n")
    #expect(getsid(0) != pid)
  }

  @Test("standard input stays open until it is closed here, and a second child does not hold it open")
  func standardInput() throws {
    let up = try NamedPipe(folder, "up")
    let first = try start("echo up > \(up.path); cat; echo closed")
    #expect(try up.next() == "up\n")
    let second = try start("echo up > \(up.path); cat; echo closed")
    #expect(try up.next() == "up\n")
    #expect(children.reap().isEmpty)
    children.closeInput(of: first.processID)
    waitUntilEnded(first.processID)
    let ended = children.reap()
    #expect(ended.map(\.pid) == [first.processID] && ended.map(\.reason) == [.code(0)])
    #expect(try folder.text("rank-0.log") == "closed\n")
    children.closeInput(of: second.processID)
    #expect(try end(of: second) == .code(0))
  }

  @Test("when the owner of the children goes, their standard input closes")
  func ownerGone() throws {
    let up = try NamedPipe(folder, "up")
    var owner: ChildProcesses? = ChildProcesses()
    let pid = try #require(owner).start(
      ["/bin/sh", "-c", "echo up > \(up.path); cat; echo alone > \(up.path)"], environment: [:], log: folder.path("log")
    )
    #expect(try up.next() == "up\n")
    owner = nil
    #expect(try up.next() == "alone\n")
    #expect(waitpid(pid, nil, 0) == pid)
  }

  @Test("no other file of this process is open in a worker, and it ignores hang-ups and broken pipes")
  func inheritance() throws {
    let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/null"))
    let leaked = fcntl(handle.fileDescriptor, F_DUPFD, 100)
    #expect(leaked >= 100)
    defer { close(leaked) }
    let worker = try start("test -e /proc/$$/fd/\(leaked) && echo leaked; kill -HUP $$; kill -PIPE $$; echo alive")
    #expect(try end(of: worker) == .code(0))
    #expect(try folder.text("rank-0.log") == "alive\n")
  }

  @Test("the end of a worker says why")
  func exitReasons() throws {
    let failed = try start("exit 74")
    #expect(try end(of: failed).description == "exit code 74")
    let reason = try start("echo 'no memory' >&2; exit 69")
    #expect(try end(of: reason) == .code(69))
    #expect(WorkerLog.lastReason(in: reason.log, from: reason.logStart) == "no memory")
    let silent = try start("exit 69")
    #expect(try end(of: silent) == .code(69))
    #expect(WorkerLog.lastReason(in: silent.log, from: silent.logStart) == nil)
    let crashed = try start("kill -SEGV $$")
    #expect(try end(of: crashed).description == "killed by signal 11")
    for (number, stop) in [(SIGTERM, children.terminate), (SIGKILL, children.kill)] {
      let worker = try start("exec cat")
      stop(worker.processID)
      #expect(try end(of: worker).description == "killed by signal \(number)")
      // Its id may belong to another process by now: nothing is sent.
      stop(worker.processID)
    }
  }

  @Test("what cannot be started is an error that names the program or the log")
  func cannotStart() throws {
    let missing = #expect(throws: LaunchError.self) {
      try launcher.start(rank: 0, slot: Slot(rank: 0, host: "localhost"), arguments: [], input: [])
    }
    #expect(missing?.description.contains(folder.path("worker")) == true)
    #expect(missing?.status == .badConfiguration)
    #expect(throws: LaunchError.self) {
      try children.start(["/no/such/program"], environment: [:], log: folder.path("log"))
    }
    #expect(throws: LaunchError.self) {
      try children.start(["/bin/true"], environment: [:], log: folder.path("no/such/log"))
    }
    #expect(children.running == [])
  }

  @Test("quoted words come back from the shell as they were")
  func quoting() throws {
    let words = [
      "", " ", "plain", "a b", "'", "''", "it's", "\"", "\\", "\\'", "$HOME", "`id`", "$(id)", "a\nb", "\t", "*", "~",
      "!", "#", "-n", "&&", ";", "|", "e\u{301}'\u{301}", "日本", "{a,b}", "[a]", "=x", "a=b", "\r", "\u{7f}",
    ]
    let script = "printf '%s\\0' \(shellCommand(words))"
    // Twice over: as ssh's remote command is, a script inside a command.
    for command in [script, "exec /bin/sh -c \(shellQuoted(script))"] {
      let log = folder.path("quoting-\(command.utf8.count)")
      let pid = try children.start(["/bin/sh", "-c", command], environment: [:], log: log)
      waitUntilEnded(pid)
      #expect(children.reap().map(\.reason) == [.code(0)])
      let output = try Data(contentsOf: URL(fileURLWithPath: log))
      #expect(
        output.split(separator: 0, omittingEmptySubsequences: false).dropLast().map { Data($0) }
          == words.map { Data($0.utf8) })
    }
  }
}
