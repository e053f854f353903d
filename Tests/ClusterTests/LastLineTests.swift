import Foundation
import TestSupport
import Testing

/// What a person reads last when a run ends badly: the reason, on one line, and an exit code that is not 0.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LastLineTests {
  @Test("a worker without memory says so in one line, and so does the coordinator at the end")
  func outOfMemory() throws {
    let cluster = try LocalCluster(clips: 6)
    let large = """
      name: large
      model: {depth: 50, width: 64, groups: 16, input_size: 224, classes: 6, dropout: 0}
      schedule: {kind: cosine, epochs: 1}
      batch: {lanes: 2, clips_per_lane: 8}
      data: {path: data, flip: false}
      faults: {restarts: 1}

      """
    try cluster.folder.write(large, to: "small.yaml")
    let words = try cluster.training("run", hosts: "localhost")
    let finished = try cluster.run(
      "/bin/sh",
      ["-c", "ulimit -v 1500000; cd \"$0\"; exec \"$@\"", cluster.folder.url.path, LocalCluster.program("coordinator")]
        + words)
    #expect(finished.status == 69, "\(finished.output)")
    let last = try #require(finished.output.split(separator: "\n").last)
    #expect(
      last.hasPrefix(
        "coordinator: no worker stays alive; the last, worker 0, ended: exit code 69: worker 0: no memory for "),
      "\(finished.output)")
    #expect(last.contains("fewer threads or slots"))
    let log = try cluster.folder.text("run/logs/rank-0.log").split(separator: "\n")
    let starts = log.count { $0.contains("no memory for") }
    #expect(starts == 2, "\(log)")
    #expect(log.allSatisfy { $0.contains(" info rank 0: ") || $0.hasPrefix("worker 0: no memory for ") }, "\(log)")
  }

  @Test("a worker that traps leaves no backtrace, and the coordinator says what to do")
  func trap() throws {
    let cluster = try LocalCluster(clips: 6)
    try cluster.folder.write("#!/bin/sh\nkill -ILL $$\n", to: "trapping", permissions: 0o700)
    try cluster.folder.write(
      LocalCluster.recipe.replacing("faults: {", with: "faults: {restarts: 0, "), to: "small.yaml")
    let finished = try cluster.train("run", hosts: "localhost worker=\(cluster.folder.path("trapping"))")
    #expect(finished.status == 69, "\(finished.output)")
    let last = try #require(finished.output.split(separator: "\n").last)
    #expect(last.contains("worker 0, ended: killed by signal 4: a fault in the program"), "\(finished.output)")
  }
}
