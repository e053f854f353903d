import Foundation
import TestSupport
import Testing

/// Data that goes away, such as a mount that drops: nothing is trained on nothing, and nothing changes the bytes.
@Suite(.serialized, .timeLimit(.minutes(5))) struct DataTests {
  /// The newest checkpoint of a run that was left in peace, and the same for all tests here.
  private static let undisturbed = Result {
    let cluster = try small()
    let finished = try cluster.train("whole", hosts: "localhost")
    #expect(finished.status == 0, "\(finished.output)")
    return try cluster.weights("whole")
  }

  /// - Parameters:
  ///   - faults: more keys of that section.
  ///   - epochs: with thousands, the learning rate is so low that training does not diverge on any processor.
  private static func small(faults: String = "", epochs: Int = 24) throws -> LocalCluster {
    let cluster = try LocalCluster()
    try cluster.folder.write(
      LocalCluster.recipe.replacing("epochs: 12", with: "epochs: \(epochs)")
        .replacing("learning_rate: 0.05", with: epochs > 1000 ? "learning_rate: 0.0001" : "learning_rate: 0.05")
        .replacing("faults: {", with: "faults: {\(faults)"),
      to: "small.yaml")
    return cluster
  }

  private func start(_ cluster: LocalCluster, _ hosts: String, _ more: [String] = []) throws -> RunningProcess {
    try RunningProcess(LocalCluster.program("coordinator"), cluster.training("run", hosts: hosts, more))
  }

  /// A name of its own for the data, which can be taken away from one worker.
  private func mount(_ cluster: LocalCluster, _ name: String) throws -> String {
    try FileManager.default.createSymbolicLink(
      atPath: cluster.folder.path(name), withDestinationPath: cluster.folder.path("data"))
    return cluster.folder.path(name)
  }

  private func move(_ cluster: LocalCluster, _ name: String, to other: String) {
    #expect(rename(cluster.folder.path(name), cluster.folder.path(other)) == 0)
  }

  /// - Parameter members: the most that there may have been.
  private func expectSame(_ cluster: LocalCluster, _ finished: Finished, members: Int = 2) throws {
    #expect(finished.status == 0, "\(finished.output)")
    #expect(try cluster.weights("run") == Self.undisturbed.get())
    #expect(try cluster.wrongEpochs("run") == 0)
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
    #expect(try cluster.query("run", "SELECT count(*) FROM steps WHERE clips = 0", as: Int.self) == [0])
    #expect(try cluster.query("run", "SELECT count(*) FROM verdicts", as: Int.self) == [0])
    #expect(try cluster.query("run", "SELECT count(*) FROM pauses WHERE ended_at IS NULL", as: Int.self) == [0])
    #expect(try cluster.query("run", "SELECT count(*) FROM members", as: Int.self)[0] <= members)
  }

  @Test("while nobody has data training pauses after a checkpoint, and goes on by itself when the data is back")
  func awayAndBack() throws {
    let cluster = try Self.small()
    let run = try start(cluster, "localhost slots=2")
    #expect(run.wait(for: "epoch 2/"))
    move(cluster, "data", to: "away")
    #expect(run.wait(for: "paused before step "), "\(run.output)")
    let pauses = "SELECT count(*) FROM pauses AS p JOIN checkpoints AS c ON c.step = p.step"
    // The pause is recorded when the checkpoint is.
    #expect(try run.wait { try cluster.query("run", pauses, as: Int.self) == [1] }, "\(run.output)")
    move(cluster, "away", to: "data")
    #expect(run.wait(for: "training goes on"), "\(run.output)")
    try expectSame(cluster, run.finish())
    #expect(try cluster.query("run", "SELECT count(*) FROM members", as: Int.self) == [2])
  }

  @Test("data that is away for longer than data_seconds ends the run with code 74, and the same command goes on later")
  func awayForGood() throws {
    let cluster = try Self.small(faults: "data_seconds: 0.5, ")
    // Held between two steps, so that it is not over before its data is away.
    let held = try cluster.train("run", hosts: "localhost", ["--steps", "7"])
    #expect(held.status == 0, "\(held.output)")
    move(cluster, "data", to: "away")
    let ended = try cluster.train("run", hosts: "localhost")
    #expect(ended.status == 74, "\(ended.output)")
    let last = try #require(ended.output.split(separator: "\n").last)
    #expect(last.contains("no worker could read its data for ") && last.contains("mount it again"), "\(ended.output)")
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
    move(cluster, "away", to: "data")
    try expectSame(cluster, try cluster.train("run", hosts: "localhost"), members: 3)
  }

  @Test("with a wrong data path in the hosts file the run ends at once with code 65, and nothing is committed")
  func wrongPath() throws {
    let cluster = try Self.small()
    let ended = try cluster.train("run", hosts: "localhost slots=2 data=/nonexistent")
    #expect(ended.status == 65, "\(ended.output)")
    let last = try #require(ended.output.split(separator: "\n").last)
    #expect(last.contains("no worker can read its data"), "\(ended.output)")
    #expect(last.contains("data= in the hosts file"), "\(ended.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM steps", as: Int.self) == [0])
  }

  @Test("a worker without data, from the start or the middle on, leaves its lanes to the other", arguments: [0, 2])
  func oneOfTwo(epoch: Int) throws {
    let cluster = try Self.small()
    let (first, second) = (try mount(cluster, "first"), try mount(cluster, "second"))
    if epoch == 0 { move(cluster, "second", to: "away") }
    let run = try start(cluster, "localhost data=\(first)\nlocalhost data=\(second)")
    if epoch > 0 {
      #expect(run.wait(for: "epoch \(epoch)/"))
      move(cluster, "second", to: "away")
    }
    #expect(run.wait(for: "it gets no lanes until it can"), "\(run.output)")
    if epoch > 0 {
      move(cluster, "away", to: "second")
      #expect(run.wait(for: "can read its data again"), "\(run.output)")
    }
    try expectSame(cluster, run.finish())
    #expect(try cluster.query("run", "SELECT count(*) FROM pauses", as: Int.self) == [0])
  }

  /// Stands for ssh: it notes when it is called, and refuses while the host is down.
  private static let ssh = """
    #!/bin/bash
    folder=$(dirname "$0")
    date +%s%3N >> "$folder/tries"
    if [ -e "$folder/down" ]; then echo 'ssh: connect to host node7 port 22: No route to host'; exit 255; fi
    exec sh -c "${@: -1}"

    """

  @Test("a host that is down is tried at growing intervals and found when it is back; the other worker trains on")
  func hostIsDown() throws {
    let cluster = try Self.small(epochs: 4000)
    let ssh = cluster.folder.path("ssh")
    try cluster.folder.write(Self.ssh, to: "ssh", permissions: 0o700)
    let run = try start(cluster, "localhost\nnode7", ["--ssh", ssh])
    #expect(run.wait(for: "epoch 2/"))
    try cluster.folder.write("", to: "down")
    let pid = try #require(
      try cluster.query("run", "SELECT pid FROM members WHERE rank = 1 AND left_at IS NULL", as: Int.self).first)
    kill(pid_t(pid), SIGKILL)
    func tries() throws -> [Int] { try cluster.folder.text("tries").split(separator: "\n").compactMap { Int($0) } }
    // The first is from before; two follow at once, then the waits double.
    try #require(try run.wait { try tries().count >= 6 }, "\(run.output)")
    let times = try tries()
    let waits = zip(times.dropFirst(), times).map { $0 - $1 }
    #expect(waits[2] >= 450 && waits[3] >= 900 && waits[4] >= 1900, "\(waits)")
    let since = try cluster.query("run", "SELECT max(created_at) FROM generations", as: String.self)[0]
    let steps = try cluster.query(
      "run", "SELECT count(*) FROM steps WHERE committed_at > '\(since)'", as: Int.self)[0]
    #expect(steps >= 5, "\(run.output)")
    try FileManager.default.removeItem(atPath: cluster.folder.path("down"))
    // In the ring again.
    let ring = "SELECT ring FROM generations ORDER BY number DESC LIMIT 1"
    #expect(try run.wait { try cluster.query("run", ring, as: String.self) == ["[0,1]"] }, "\(run.output)")
    run.signal(SIGINT)
    #expect(run.finish().status == 130)
    #expect(try cluster.query("run", "SELECT count(*) FROM steps WHERE rolled_back", as: Int.self) == [0])
  }
}
