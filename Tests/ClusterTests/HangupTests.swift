import Foundation
import TestSupport
import Testing

/// A terminal that is closed, and a reader of the progress that goes away.
@Suite(.serialized, .timeLimit(.minutes(3))) struct HangupTests {
  @Test("a hang-up stops the run with a checkpoint, also when it comes twice")
  func hangup() throws {
    let cluster = try LocalCluster(clips: 12)
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost"))
    #expect(process.wait(for: "epoch 1/"))
    process.signal(SIGHUP)
    #expect(process.wait(for: "stopping at the next step with a checkpoint"))
    // The shell and the kernel both send one when a terminal is closed.
    process.signal(SIGHUP)
    let finished = process.finish()
    #expect(finished.status == 130, "\(finished.output)")
    #expect(finished.output.contains("stopped by a signal, with a checkpoint at"), "\(finished.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM checkpoints", as: Int.self)[0] > 0)
  }

  @Test("a run under nohup lives on when its terminal is closed")
  func nohup() throws {
    let cluster = try LocalCluster(clips: 12)
    let process = try RunningProcess(
      "/bin/sh",
      ["-c", "trap '' HUP; exec \"$0\" \"$@\"", LocalCluster.program("coordinator")]
        + cluster.training("run", hosts: "localhost", ["--steps", "6"]))
    #expect(process.wait(for: "epoch 1/"))
    process.signal(SIGHUP)
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM steps", as: Int.self) == [6])
  }

  @Test("training goes on when nobody reads its progress any more")
  func closedPipe() throws {
    let cluster = try LocalCluster(clips: 12)
    let script = "{ \"$@\"; echo $? > \"$0\"; } | head -n 1"
    let finished = try cluster.run(
      "/bin/sh",
      ["-c", script, cluster.folder.path("status"), LocalCluster.program("coordinator")]
        + cluster.training("run", hosts: "localhost", ["--steps", "3"]))
    #expect(try cluster.folder.text("status") == "0\n", "\(finished.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM steps", as: Int.self) == [3])
  }

  @Test(
    "the commands without workers finish too when nobody reads their output",
    arguments: [["demo-data", "more", "--train", "6", "--validation", "6"], ["index"]])
  func commands(words: [String]) throws {
    let cluster = try LocalCluster(clips: 12)
    let more = words == ["index"] ? ["--recipe", "small.yaml", "--run-dir", "indexed"] : []
    // The reader closes its end, then lets the command begin.
    let script =
      "cd \"$0\"; mkfifo go; { read line < go; \"$@\"; echo $? > status; } | { exec <&-; echo begin > go; }"
    let finished = try cluster.run(
      "/bin/sh", ["-c", script, cluster.folder.url.path, LocalCluster.program("coordinator")] + words + more)
    #expect(try cluster.folder.text("status") == "0\n", "\(finished.output)")
  }
}
