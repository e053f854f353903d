import Foundation
import Shared
import TestSupport
import Testing

/// The commands as a person meets them: what they print, how they exit.
@Suite(.serialized, .timeLimit(.minutes(3))) struct CommandTests {
  @Test("bad input gets one line that says what and where, and the right exit code")
  func badInput() throws {
    let cluster = try LocalCluster(clips: 6)
    try cluster.folder.write("modle:\n  depth: 50\n", to: "bad.yaml")
    let coordinator = LocalCluster.program("coordinator")
    try cluster.folder.write("localhost\n", to: "hosts")
    let hosts = cluster.folder.path("hosts")
    func check(_ arguments: [String], _ status: Int32, _ text: String) throws {
      let finished = try cluster.run(coordinator, arguments)
      #expect(finished.status == status, "\(arguments): \(finished.output)")
      #expect(finished.output.contains(text), "\(finished.output)")
    }
    let recipe = ["--recipe", cluster.folder.path("small.yaml"), "--run-dir", cluster.folder.path("r")]
    try check(["--workers", hosts, "--recipe", cluster.folder.path("bad.yaml")], 78, "line 1: unknown key 'modle'")
    // What is named and not there has one code, whatever it is.
    let none = cluster.folder.path("none")
    let here = ["--workers", hosts, "--listen", "tcp://127.0.0.1:0"]
    try check(["--workers", none, "--listen", "tcp://127.0.0.1:0"] + recipe, 74, "hosts file \(none) cannot be read")
    try check(here + ["--recipe", none], 74, "\(none): cannot be read")
    try check(["evaluate", "--checkpoint", none] + here + recipe, 74, "\(none): there is no such file")
    for key in ["init: none", "data: {train_list: none}", "data: {path: data, labels: none}", "data: {path: none}"] {
      try cluster.folder.write("model: {classes: 6, width: 8, groups: 4, input_size: 32}\n\(key)\n", to: "key.yaml")
      let given = ["--recipe", cluster.folder.path("key.yaml"), "--run-dir", cluster.folder.path("r")]
      try check(here + given, 74, "/none: ")
    }
    try check(["--workers", hosts, "--listen", "tcp://0.0.0.0:0"] + recipe, 64, "needs --advertise")
    try check(["--workers", hosts, "--insecure", "--keys", "k"] + recipe, 64, "exclude one another")
    try check(here + ["--keys", none] + recipe, 74, "coordinator keygen")
    try check(["--workers", hosts, "--nonsense"], 64, "--nonsense")
    try check(["status", cluster.folder.path("nowhere")], 65, "no journal")
    for (line, expected) in [
      ("localhost slots=1\nlocalhost lots=8", "hosts:2: unknown key 'lots'; did you mean 'slots'?"),
      ("localhost:2 slots=2", "hosts:1: 'slots' is given twice"),
    ] {
      try cluster.folder.write(line + "\n", to: "hosts")
      try check(["--workers", hosts, "--listen", "tcp://127.0.0.1:0"] + recipe, 78, expected)
    }
    try cluster.folder.write("localhost\n", to: "hosts")
    try check(["--workers", hosts, "--steps", "0"], 64, "--steps must be at least 1")
    let huge = "9223372036854775807"
    try check(["demo-data", cluster.folder.path("d"), "--train", huge, "--validation", huge], 64, "--train must be")
    let worker = LocalCluster.program("worker")
    for (words, expected) in [
      (["step", "--recipe", "r", "--threads", huge], "--threads must be from 1 to 1024"),
      (["step", "--recipe", "r", "--steps", "0"], "--steps must be from 1"),
      (
        ["allreduce", "--ranks", "1", "--rank", "0", "--listen", "x", "--peer", "x", "--repeats", huge],
        "--repeats from"
      ),
      (["allreduce", "--ranks", "1", "--rank", "0", "--listen", "x", "--peer", "x", "--gradient-bits", "60"], "24"),
    ] {
      let finished = try cluster.run(worker, ["bench"] + words)
      #expect(finished.status == 64 && finished.output.contains(expected), "\(words): \(finished.output)")
    }
  }

  @Test("clips that cannot be used are listed with their reasons, and training goes on without them")
  func rejectedClips() throws {
    let cluster = try LocalCluster(clips: 20)
    let list = try cluster.folder.text("data/train.csv")
    try cluster.folder.write(
      list + "moving left,gone,0,2,train,0\n\"moving left\",empty,0,2,train,0\n", to: "data/train.csv")
    try cluster.folder.write("", to: "data/train/moving left/empty.mp4")
    let finished = try cluster.train("run", hosts: "localhost slots=2", ["--steps", "3"])
    #expect(finished.status == 0, "\(finished.output)")
    #expect(finished.output.contains("2 left out"))
    let reasons = try cluster.query("run", "SELECT reason FROM rejected ORDER BY id", as: String.self)
    #expect(reasons.count == 2)
    #expect(reasons.contains { $0.contains("missing") })
    #expect(try cluster.query("run", "SELECT count(*) FROM clips", as: Int.self) == [20])
  }

  @Test("evaluate gives what the end of training gave; status says where the run is")
  func evaluate() throws {
    let cluster = try LocalCluster(clips: 12)
    let trained = try cluster.train("run", hosts: "localhost slots=2", ["--steps", "4"])
    #expect(trained.status == 0, "\(trained.output)")
    let line = try #require(trained.output.split(separator: "\n").last { $0.hasPrefix("validation: ") })
    let evaluated = try cluster.run(
      LocalCluster.program("coordinator"),
      [
        "evaluate", "--workers", cluster.folder.path("run.hosts"), "--recipe", cluster.folder.path("small.yaml"),
        "--run-dir", cluster.folder.path("run"), "--listen", "tcp://127.0.0.1:0", "--checkpoint",
        cluster.folder.path("run/checkpoints/step-00000004"),
      ])
    #expect(evaluated.status == 0, "\(evaluated.output)")
    #expect(evaluated.output.contains(line), "\(evaluated.output)")
    let status = try cluster.run(LocalCluster.program("coordinator"), ["status", cluster.folder.path("run")])
    #expect(status.output.contains("steps: 4 of"), "\(status.output)")
  }

  @Test("a start that fails leaves no keys of its own, and those that were there before")
  func keysOfOthers() throws {
    let cluster = try LocalCluster(clips: 12)
    try cluster.folder.write(LocalCluster.recipe.replacing("path: data", with: "path: none"), to: "small.yaml")
    func fails() throws { #expect(try cluster.train("run", hosts: "localhost").status == 74) }
    func isThere(_ name: String) -> Bool { FileManager.default.fileExists(atPath: cluster.folder.path(name)) }
    try fails()
    #expect(!isThere("run"))
    try FileManager.default.createDirectory(atPath: cluster.folder.path("run"), withIntermediateDirectories: false)
    let made = try cluster.run(LocalCluster.program("coordinator"), ["keygen", cluster.folder.path("run/keys")])
    #expect(made.status == 0, "\(made.output)")
    try fails()
    #expect(isThere("run/keys/coordinator.secret") && isThere("run/keys/workers.secret"))
  }

  @Test("with --launch none the coordinator waits for workers that somebody else starts")
  func launchNone() throws {
    let cluster = try LocalCluster(clips: 12)
    let process = try RunningProcess(
      LocalCluster.program("coordinator"),
      cluster.training("run", hosts: "localhost slots=2", ["--launch", "none", "--steps", "3"]))
    #expect(process.wait(for: "waiting for 2 workers at tcp://"))
    let address = try #require(process.output.split(whereSeparator: \.isWhitespace).last { $0.hasPrefix("tcp://") })
    func worker(_ rank: Int, _ keys: [String]) throws -> RunningProcess {
      try RunningProcess(
        LocalCluster.program("worker"), ["--rank", "\(rank)", "--coordinator", String(address)] + keys)
    }
    let without = try worker(0, []).finish()
    #expect(without.status == 78 && without.output.contains("no keys: give --keys DIR"), "\(without.output)")
    let workers = try (0..<2).map { try worker($0, ["--keys", cluster.folder.path("run/keys")]) }
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    for worker in workers { #expect(worker.finish().status == 0) }
  }

  @Test("a run directory that is in use is refused, and status tells who uses it")
  func locked() throws {
    let cluster = try LocalCluster(clips: 12)
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost", ["--launch", "none"]))
    #expect(process.wait(for: "waiting for"))
    let second = try cluster.train("run", hosts: "localhost")
    #expect(second.status == 69, "\(second.output)")
    #expect(second.output.contains("another coordinator"))
    func status() throws -> String {
      try cluster.run(LocalCluster.program("coordinator"), ["status", cluster.folder.path("run")]).output
    }
    #expect(try status().contains("coordinator: running (pid \(process.pid) on "))
    process.signal(SIGINT)
    #expect(process.finish().status == 130)
    #expect(try status().contains("coordinator: none; to go on: coordinator train --recipe "))
  }
}
