import Foundation
import Shared
import TestSupport
import Testing

/// The first promise, with real processes: whatever the number of workers and threads, and whatever happens to them,
/// the final files are the same bytes.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SameBitsTests {
  @Test("1, 2 and 3 workers, of 1 and 2 threads or lanes of 3, end with the same bytes; another seed does not")
  func workersAndThreads() throws {
    let cluster = try LocalCluster()
    var weights: [String: [String]] = [:]
    for hosts in [
      "localhost", "localhost slots=2", "localhost slots=3", "localhost threads=2", "localhost slots=2 threads=2",
      "localhost slots=2 lane_threads=3",
    ] {
      let name = hosts.replacingOccurrences(of: " ", with: "-").replacingOccurrences(of: "=", with: "")
      let finished = try cluster.train(name, hosts: hosts)
      #expect(finished.status == 0, "\(finished.output)")
      weights[hosts] = try cluster.weights(name)
      #expect(try cluster.wrongEpochs(name) == 0)
    }
    #expect(Set(weights.values).count == 1, "\(weights)")
    let other = try cluster.train("other-seed", hosts: "localhost slots=2", ["--seed", "2"])
    #expect(other.status == 0, "\(other.output)")
    #expect(try cluster.weights("other-seed")[0] != weights["localhost"]?[0])
  }

  @Test("workers that read one another's memory and workers that send all end with the same bytes", arguments: [2, 3])
  func sharedMemory(workers: Int) throws {
    let cluster = try LocalCluster()
    try cluster.folder.write(LocalCluster.recipe + "exchange: {shared_memory: false}\n", to: "wire.yaml")
    var bytes: [String: Int] = [:]
    var weights: [[String]] = []
    for recipe in ["small", "wire"] {
      let finished = try cluster.train(
        recipe, hosts: "localhost slots=\(workers)", ["--recipe", cluster.folder.path("\(recipe).yaml")])
      #expect(finished.status == 0, "\(finished.output)")
      weights.append(try cluster.weights(recipe))
      bytes[recipe] = try cluster.query(recipe, "SELECT wire_bytes FROM steps WHERE step = 20", as: Int.self)[0]
    }
    #expect(weights[0] == weights[1])
    #expect(10 * bytes["small", default: 0] < bytes["wire", default: 0], "\(bytes)")
  }

  @Test("a run that is stopped by Ctrl-C exits with 130 and goes on to the same bytes")
  func interrupted() throws {
    let cluster = try LocalCluster()
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("cut", hosts: "localhost slots=2"))
    #expect(process.wait(for: "epoch 4/"))
    process.signal(SIGINT)
    let stopped = process.finish()
    #expect(stopped.status == 130, "\(stopped.output)")
    let resumed = try cluster.train("cut", hosts: "localhost slots=3")
    #expect(resumed.status == 0, "\(resumed.output)")
    #expect(resumed.output.contains("going on from step"))
    #expect(try cluster.weights("cut") == cluster.weights("whole"))
    #expect(try cluster.wrongEpochs("cut") == 0)
  }

  @Test("workers that are killed in mid-step are replaced, and the bytes are the same")
  func killedWorkers() throws {
    let cluster = try LocalCluster()
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("hurt", hosts: "localhost slots=3"))
    for (epoch, rank) in [(2, 1), (5, 0), (8, 2)] {
      #expect(process.wait(for: "epoch \(epoch)/"), "\(process.output)")
      // Three that die before the first is replaced would take the state with them.
      let present = "SELECT count(*) FROM members WHERE left_at IS NULL"
      let isWhole = try process.wait { try cluster.query("hurt", present, as: Int.self) == [3] }
      #expect(isWhole, "\(process.output)")
      let pids = try cluster.query(
        "hurt", "SELECT pid FROM members WHERE rank = \(rank) AND left_at IS NULL", as: Int.self)
      for pid in pids { kill(pid_t(pid), SIGKILL) }
    }
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    #expect(try cluster.weights("hurt") == cluster.weights("whole"))
    #expect(try cluster.wrongEpochs("hurt") == 0)
    for audit in try cluster.audits("hurt") { #expect(audit.status == 0, "\(audit.output)") }
    let generations = try cluster.query("hurt", "SELECT count(*) FROM generations", as: Int.self)[0]
    #expect(generations > 3)
    // Nobody's work was lost: the survivors redid only the step in flight.
    #expect(try cluster.query("hurt", "SELECT count(*) FROM steps WHERE rolled_back", as: Int.self) == [0])
  }

  @Test("when the coordinator and all workers are killed, the same command goes on to the same bytes")
  func killedCoordinator() throws {
    let cluster = try LocalCluster()
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("dead", hosts: "localhost slots=2"))
    #expect(process.wait(for: "epoch 4/"))
    let pids = try cluster.query("dead", "SELECT pid FROM members WHERE left_at IS NULL", as: Int.self)
    process.signal(SIGKILL)
    for pid in pids { kill(pid_t(pid), SIGKILL) }
    _ = process.finish()
    let resumed = try cluster.train("dead", hosts: "localhost slots=2")
    #expect(resumed.status == 0, "\(resumed.output)")
    #expect(try cluster.weights("dead") == cluster.weights("whole"))
    #expect(try cluster.wrongEpochs("dead") == 0)
    for audit in try cluster.audits("dead") { #expect(audit.status == 0, "\(audit.output)") }
  }

  @Test(
    "two workers started through a real sshd end with the same bytes, and nothing is left running",
    .enabled(if: SSHServer.isInstalled, "openssh-server is not installed"))
  func throughSSH() throws {
    let cluster = try LocalCluster()
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    let server = try SSHServer()
    defer { server.stop() }
    let finished = try cluster.train(
      "far", hosts: "far-away.example slots=2 data=\(cluster.folder.path("data"))", ["--ssh", server.sshCommand])
    #expect(finished.status == 0, "\(finished.output)")
    #expect(try cluster.weights("far") == cluster.weights("whole"))
    let pids = try cluster.query("far", "SELECT pid FROM members", as: Int.self)
    #expect(pids.count == 2)
    for pid in pids { #expect(kill(pid_t(pid), 0) == -1 && errno == ESRCH, "process \(pid) is left") }
  }
}
