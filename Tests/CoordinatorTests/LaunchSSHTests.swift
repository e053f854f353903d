import Foundation
import Shared
import TestSupport
import Testing

@testable import Coordinator

@Suite(.timeLimit(.minutes(2)), .enabled(if: SSHServer.isInstalled, "openssh-server is not installed"))
struct LaunchSSHTests {
  @Test("a worker is run through a real sshd, ends when its standard input closes, and leaves nothing behind")
  func remoteWorker() throws {
    let server = try SSHServer()
    defer { server.stop() }
    let folder = try TemporaryFolder()
    let up = try NamedPipe(folder, "up")
    let script = """
      #!/bin/sh
      echo "$1|$2|$OMP_NUM_THREADS$OPENBLAS_NUM_THREADS"
      kill -HUP $$
      echo $$ > '\(up.path)'
      cat
      echo closed
      exit 3

      """
    try folder.write(script, to: "it's a worker", permissions: 0o700)
    let children = ChildProcesses()
    let settings = LaunchSettings(
      workerProgram: folder.path("it's a worker"), logDirectory: folder.url.path, sshCommand: server.sshCommand)
    let worker = try HostLauncher(children: children, settings: settings).start(
      rank: 2, slot: Slot(rank: 2, host: "far-away.example"), arguments: ["a 'b'", "$HOME"], input: [])
    let remote = try #require(
      pid_t(up.next().trimmingCharacters(in: .whitespacesAndNewlines)))
    #expect(remote != worker.processID)
    #expect(kill(remote, 0) == 0)
    #expect(children.reap().isEmpty)

    children.closeInput(of: worker.processID)
    waitUntilEnded(worker.processID)
    #expect(children.reap().map(\.reason) == [.code(3)])
    #expect(kill(remote, 0) == -1 && errno == ESRCH)
    #expect(try folder.text("rank-2.log") == "a 'b'|$HOME|11\nclosed\n")
  }

  @Test("killing the ssh client closes the remote worker's standard input")
  func killedClient() throws {
    let server = try SSHServer()
    defer { server.stop() }
    let folder = try TemporaryFolder()
    let up = try NamedPipe(folder, "up")
    try folder.write(
      "#!/bin/sh\necho up > '\(up.path)'\ncat\necho gone > '\(up.path)'\n", to: "worker", permissions: 0o700)
    let children = ChildProcesses()
    let settings = LaunchSettings(
      workerProgram: folder.path("worker"), logDirectory: folder.url.path, sshCommand: server.sshCommand)
    let worker = try SSHLauncher(children: children, settings: settings).start(
      rank: 0, slot: Slot(rank: 0, host: "localhost"), arguments: [], input: [])
    #expect(try up.next() == "up\n")
    children.kill(worker.processID)
    waitUntilEnded(worker.processID)
    #expect(children.reap().map(\.reason) == [.signal(SIGKILL)])
    #expect(try up.next() == "gone\n")
  }

  @Test("a host that cannot be reached shows as ssh's exit code 255, with its reason in the log")
  func unreachable() throws {
    let server = try SSHServer()
    server.stop()
    let folder = try TemporaryFolder()
    let children = ChildProcesses()
    let settings = LaunchSettings(
      workerProgram: "/bin/true", logDirectory: folder.url.path, sshCommand: server.sshCommand)
    let worker = try SSHLauncher(children: children, settings: settings).start(
      rank: 0, slot: Slot(rank: 0, host: "nobody"), arguments: [], input: [])
    waitUntilEnded(worker.processID)
    #expect(children.reap().map(\.reason) == [.code(255)])
    #expect(try folder.text("rank-0.log").contains("refused"))
    #expect(WorkerLog.lastReason(in: worker.log, from: worker.logStart)?.contains("refused") == true)
  }
}
