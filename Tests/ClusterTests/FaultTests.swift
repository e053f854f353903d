import Foundation
import TestSupport
import Testing

/// Nothing lost, and training goes on: real processes are harmed for real, and the final bytes are those of a run that
/// was left in peace.
@Suite(.serialized, .timeLimit(.minutes(5))) struct FaultTests {
  private func start(_ cluster: LocalCluster, _ name: String, _ hosts: String) throws -> RunningProcess {
    try RunningProcess(LocalCluster.program("coordinator"), cluster.training(name, hosts: hosts))
  }

  private func pids(_ cluster: LocalCluster, _ name: String) throws -> [pid_t] {
    try cluster.query(name, "SELECT pid FROM members WHERE left_at IS NULL ORDER BY rank", as: Int.self).map {
      pid_t($0)
    }
  }

  /// Workers that were given up while the run went on.
  private func left(_ cluster: LocalCluster, _ name: String) throws -> [String] {
    try cluster.query(name, "SELECT text FROM events WHERE text LIKE 'worker % left: %'", as: String.self)
  }

  private func expectSame(_ cluster: LocalCluster, _ finished: Finished, _ name: String) throws {
    #expect(finished.status == 0, "\(finished.output)")
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    #expect(try cluster.weights(name) == cluster.weights("whole"))
    #expect(try cluster.wrongEpochs(name) == 0)
    for audit in try cluster.audits(name) { #expect(audit.status == 0, "\(audit.output)") }
    #expect(try cluster.query(name, "SELECT count(*) FROM steps WHERE rolled_back", as: Int.self) == [0])
  }

  @Test("a coordinator that is killed and started again finds its workers, which stepped on meanwhile")
  func coordinatorDies() throws {
    let cluster = try LocalCluster()
    let first = try start(cluster, "orphans", "localhost slots=2")
    #expect(first.wait(for: "epoch 2/"))
    let workers = try pids(cluster, "orphans")
    first.signal(SIGKILL)
    _ = first.finish()
    let known = try cluster.query("orphans", "SELECT count(*) FROM steps", as: Int.self)[0]
    // The log of a worker tells of nothing between generations: what shows that it steps is its processor time.
    let before = try processorTime(workers[0])
    while try processorTime(workers[0]) < before + 20 { usleep(10_000) }
    let second = try start(cluster, "orphans", "localhost slots=2")
    #expect(second.wait(for: "all workers went on in generation"))
    let finished = second.finish()
    // The steps that were made meanwhile are reported out of order at first, which is nothing to warn of.
    #expect(!finished.output.contains("refused"), "\(finished.output)")
    try expectSame(cluster, finished, "orphans")
    #expect(try cluster.query("orphans", "SELECT count(*) FROM members", as: Int.self) == [2])
    #expect(try left(cluster, "orphans").isEmpty)
    #expect(known < 60)
  }

  /// Ticks of processor time that a process has used.
  private func processorTime(_ pid: pid_t) throws -> Int {
    let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    return fields.count > 12 ? (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0) : 0
  }

  @Test("a worker that dies while no coordinator is there is replaced when it is back; the other waits with its state")
  func workerDiesMeanwhile() throws {
    let cluster = try LocalCluster()
    let first = try start(cluster, "alone", "localhost slots=2")
    #expect(first.wait(for: "epoch 2/"))
    let workers = try pids(cluster, "alone")
    first.signal(SIGKILL)
    _ = first.finish()
    kill(workers[1], SIGKILL)
    try expectSame(cluster, try start(cluster, "alone", "localhost slots=2").finish(), "alone")
    #expect(try cluster.query("alone", "SELECT count(*) FROM members WHERE rank = 0", as: Int.self) == [1])
  }

  @Test("stopped for half a second, nobody is evicted")
  func shortStop() throws {
    let cluster = try LocalCluster()
    let run = try start(cluster, "short", "localhost slots=3")
    #expect(run.wait(for: "epoch 2/"))
    let worker = try pids(cluster, "short")[1]
    kill(worker, SIGSTOP)
    usleep(500_000)
    kill(worker, SIGCONT)
    try expectSame(cluster, run.finish(), "short")
    #expect(try left(cluster, "short").isEmpty)
  }

  @Test("stopped for longer than a worker may be silent, it is evicted, and taken back when it goes on")
  func longStop() throws {
    let cluster = try LocalCluster()
    let run = try start(cluster, "long", "localhost slots=3")
    #expect(run.wait(for: "epoch 2/"))
    let worker = try pids(cluster, "long")[1]
    kill(worker, SIGSTOP)
    #expect(run.wait(for: "worker 1 left: no heartbeat"))
    kill(worker, SIGCONT)
    #expect(run.wait(for: "worker 1 is back"))
    try expectSame(cluster, run.finish(), "long")
    #expect(try cluster.query("long", "SELECT count(*) FROM members", as: Int.self) == [3])
  }

  @Test(
    "a worker whose own thread hangs while it beats is given up, and ends although nobody here may end it",
    .enabled(if: Strace.isUsable, "strace is not installed, or may not trace"))
  func hang() throws {
    let cluster = try LocalCluster()
    let recipe = LocalCluster.recipe.replacingOccurrences(of: "faults: {", with: "faults: {hang_seconds: 2, ")
    try cluster.folder.write(recipe, to: "small.yaml")
    let run = try RunningProcess(
      LocalCluster.program("coordinator"),
      cluster.training("hang", hosts: "localhost slots=2", ["--launch", "none"]))
    #expect(run.wait(for: "waiting for 2 workers at "))
    let coordinator = try cluster.folder.text("hang/endpoint")
    func worker(_ rank: Int) throws -> RunningProcess {
      try RunningProcess(
        LocalCluster.program("worker"),
        ["--rank", "\(rank)", "--coordinator", coordinator, "--keys", cluster.folder.path("hang/keys")])
    }
    let (other, hanging) = (try worker(0), try worker(1))
    #expect(run.wait(for: "epoch 2/"))
    // Without -f it is the worker's own thread alone that waits, in its next poll, for longer than this test lasts.
    let strace = try RunningProcess(
      Strace.program,
      ["-p", "\(hanging.pid)", "-o", "/dev/null", "-e", "trace=poll", "-e", "inject=poll:delay_enter=600000000"])
    #expect(run.wait(for: "worker 1 left: hangs: it beats"))
    #expect(hanging.wait(for: "worker 1: hangs, and was evicted"), "\(hanging.output)")
    // While it waits, strace holds up the end of the thread, too.
    strace.signal(SIGKILL)
    #expect(hanging.finish().status == 69)
    try expectSame(cluster, run.finish(), "hang")
    #expect(other.finish().status == 0)
  }

  @Test("a clip that nobody can decode any more is left out of its steps, with the same bytes on 1, 2 and 3 workers")
  func clipChangesUnderway() throws {
    let cluster = try LocalCluster(clips: 20)
    let folder = cluster.folder.path("data/train/moving left")
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).sorted().first)
    let whole = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
    var weights = Set<[String]>()
    for slots in 1...3 {
      try whole.write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      let run = "run\(slots)"
      let indexed = try cluster.run(
        LocalCluster.program("coordinator"),
        ["index", "--recipe", cluster.folder.path("small.yaml"), "--run-dir", cluster.folder.path(run)])
      #expect(indexed.status == 0 && indexed.output.contains("train: 20 clips, 0 left out"), "\(indexed.output)")
      try Data("no video any more".utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      let finished = try cluster.train(run, hosts: "localhost slots=\(slots)")
      #expect(finished.status == 0, "\(finished.output)")
      #expect(finished.output.contains(name) && finished.output.contains("changed since it was indexed"))
      weights.insert(try cluster.weights(run))
      for audit in try cluster.audits(run) { #expect(audit.status == 0, "\(audit.output)") }
      // Twelve epochs, each without the clip once.
      #expect(try cluster.query(run, "SELECT count(DISTINCT epoch) FROM verdicts", as: Int.self) == [12])
      #expect(try cluster.query(run, "SELECT count(*) FROM consumed", as: Int.self) == [12 * 19])
      #expect(try cluster.query(run, "SELECT sum(clips) FROM steps WHERE rolled_back = 0", as: Int.self) == [12 * 19])
    }
    #expect(weights.count == 1)
  }
}
