// Runs that go on with another recipe: what is refused, and what trains on to which bits.
import CLinux
import Foundation
import Recipes
import Shared
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct ResumeTests {
  private func write(_ cluster: LocalCluster, _ changes: [(String, String)]) throws {
    let text = changes.reduce(LocalCluster.recipe) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
    try cluster.folder.write(text, to: "small.yaml")
  }

  @Test("with more epochs a finished run trains on, to the same bytes whether it was stopped meanwhile or not")
  func moreEpochs() throws {
    let cluster = try LocalCluster(clips: 20)
    try write(cluster, [("epochs: 12", "epochs: 3")])
    let short = try cluster.train("whole", hosts: "localhost slots=2")
    #expect(short.status == 0, "\(short.output)")
    try FileManager.default.copyItem(atPath: cluster.folder.path("whole"), toPath: cluster.folder.path("cut"))
    try write(cluster, [("epochs: 12", "epochs: 7")])
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    #expect(whole.output.contains("from step 6 on: schedule.epochs is 7, was 3"), "\(whole.output)")
    // Also where it was stopped in the middle of an epoch, whose end counts all of it.
    func endOfEpoch4(_ output: String) -> Substring? {
      output.split(separator: "\n").first { $0.contains("  step 8/") }?.split(separator: "  loss ").last?
        .split(separator: "  ").prefix(2).joined(separator: "  ")[...]
    }
    let wanted = try #require(endOfEpoch4(whole.output), "\(whole.output)")
    for steps in ["7", "11", "99"] {
      let part = try cluster.train("cut", hosts: "localhost slots=3", ["--steps", steps])
      #expect(part.status == 0, "\(part.output)")
      if steps == "11" { #expect(endOfEpoch4(part.output) == wanted, "\(part.output)") }
    }
    #expect(try cluster.weights("cut") == cluster.weights("whole"))
    #expect(try cluster.weights("cut")[0].hasPrefix("step-00000014 "))
    for audit in try cluster.audits("whole") + cluster.audits("cut") { #expect(audit.status == 0, "\(audit.output)") }
    #expect(
      try cluster.query("cut", "SELECT step || key || old || new FROM revisions", as: String.self)
        == ["6schedule.epochs37"])
    // The cosine had come down to a quarter at step 5, and goes on from there.
    let rates = try cluster.query(
      "cut", "SELECT learning_rate FROM steps WHERE step >= 4 ORDER BY step", as: Double.self)
    try #require(rates.count == 10)
    #expect(
      rates.allSatisfy { $0 > 0 } && rates[1] == rates[2] && zip(rates, rates.dropFirst()).allSatisfy { $0 >= $1 })
    #expect(try Recipe.read(path: cluster.folder.path("cut/recipe.yaml")).schedule.epochs == 7)
    let status = try cluster.run(LocalCluster.program("coordinator"), ["status", cluster.folder.path("cut")])
    #expect(status.output.contains("steps: 14 of 14 (epoch 7 of 7)"), "\(status.output)")
    // With the revision or the rate gone, both audits say the same.
    for (statement, problem) in [
      ("DELETE FROM revisions", "step 13 is beyond the run's last"),
      ("UPDATE revisions SET new = '9'", "step 8 has the learning rate"),
    ] {
      try cluster.execute("cut", statement)
      let audits = try cluster.audits("cut")
      #expect(audits.map(\.status) == [1, 1])
      #expect(audits.allSatisfy { $0.output.contains(problem) }, "\(audits)")
      let words = audits.map { $0.output.split(separator: "\n").map { $0.split(separator: " ").dropFirst() } }
      #expect(words[0] == words[1], "\(audits)")
      try cluster.execute(
        "cut", "INSERT OR REPLACE INTO revisions VALUES (1, 6, 'schedule.epochs', '3', '7', '2026-01-01 00:00:00.000')")
    }
  }

  @Test("a finished run goes on with more epochs, other validations and other hosts: all is said and journaled")
  func changes() throws {
    let cluster = try LocalCluster(clips: 12)
    try write(cluster, [("epochs: 12", "epochs: 2"), ("every_epochs: 0", "every_epochs: 1")])
    let begun = try cluster.train("run", hosts: "localhost")
    #expect(begun.status == 0 && !begun.output.contains(" on: "), "\(begun.output)")
    try write(
      cluster,
      [
        ("epochs: 12", "epochs: 4"), ("every_epochs: 0", "every_epochs: 2, clips: 5, stop_after: 3"),
        ("flip: false", "flip: false, evaluation_crops: 3"),
      ])
    let other = try cluster.train("run", hosts: "localhost slots=2 threads=1")
    #expect(other.status == 0, "\(other.output)")
    let said = [
      "schedule.epochs is 4, was 2", "data.evaluation_crops is 3, was 1", "validation.every_epochs is 2, was 1",
      "validation.clips is 5, was 0", "validation.stop_after is 3, was 0",
      "hosts: localhost slots=2 threads=1, were localhost slots=1",
    ]
    #expect(
      other.output.split(separator: "\n").filter { $0.contains(" on: ") } == said.map { "from step 4 on: \($0)" },
      "\(other.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM revisions WHERE step = 4", as: Int.self) == [5])
    #expect(
      try cluster.query("run", "SELECT text FROM events WHERE source = 'hosts' ORDER BY id", as: String.self)
        == ["localhost slots=1", "localhost slots=2 threads=1"])
    #expect(
      try cluster.query("run", "SELECT step || ' ' || clips FROM evaluations", as: String.self) == [
        "2 9", "4 9", "8 5",
      ])
    // Where only the validations change, there is nothing to train; without changes nothing is said.
    try write(cluster, [("epochs: 12", "epochs: 4"), ("every_epochs: 0", "every_epochs: 1")])
    for said in [["from step 8 on: validation.every_epochs is 1, was 2"], []] {
      let again = try cluster.train("run", hosts: "localhost slots=2 threads=1")
      #expect(again.status == 0 && again.output.contains("of 5 clips"), "\(again.output)")
      #expect(again.output.split(separator: "\n").filter { $0.contains(" on: ") }.map(String.init) == said)
    }
    for audit in try cluster.audits("run") {
      #expect(audit.output.hasPrefix("ok: 8 steps, 4 epochs whole"), "\(audit)")
    }
    let status = try cluster.run(LocalCluster.program("coordinator"), ["status", cluster.folder.path("run")])
    #expect(
      status.output.contains("validation at step 8: ") && status.output.contains(" of 5 clips"), "\(status.output)")
  }

  @Test("workers that went on without their coordinator leave when the recipe is revised, and the run goes on")
  func survivors() throws {
    let cluster = try LocalCluster()
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost slots=2"))
    #expect(process.wait(for: "epoch 3/"))
    process.signal(SIGKILL)
    _ = process.finish()
    let before = try cluster.query("run", "SELECT pid FROM members WHERE left_at IS NULL", as: Int.self)
    #expect(before.count == 2)
    try write(cluster, [("epochs: 12", "epochs: 8")])
    let survivors = before.map { openProcess(pid_t($0)) }
    defer { for handle in survivors { close(handle) } }
    let resumed = try cluster.train("run", hosts: "localhost slots=2")
    #expect(resumed.status == 0, "\(resumed.output)")
    for audit in try cluster.audits("run") { #expect(audit.output.hasPrefix("ok: 40 steps, 8 epochs"), "\(audit)") }
    let after = try cluster.query("run", "SELECT pid FROM members", as: Int.self)
    #expect(Set(after).isSuperset(of: before) && Set(after).count == 4, "\(before) \(after)")
    for pid in Set(after).subtracting(before) {
      #expect(kill(pid_t(pid), 0) == -1 && errno == ESRCH, "process \(pid) is left")
    }
    // They are nobody's children, so nobody has waited for them. One that the coordinator was too short-lived to tell ends
    // when it has heard nobody for a minute.
    for (handle, pid) in zip(survivors, before) {
      var end = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
      #expect(poll(&end, 1, 90_000) == 1, "process \(pid) is left")
    }
  }

  @Test("another recipe is refused with every key that differs, fewer epochs than are done with how many there must be")
  func refused() throws {
    let cluster = try LocalCluster(clips: 12)
    let begun = try cluster.train("run", hosts: "localhost", ["--steps", "5"])
    #expect(begun.status == 0, "\(begun.output)")
    try write(
      cluster, [("width: 8", "width: 16"), ("learning_rate: 0.05", "learning_rate: 0.1"), ("keep: 2", "keep: 3")])
    let other = try cluster.train("run", hosts: "localhost", ["--seed", "4"])
    #expect(other.status == 78)
    let keys = "seed is 4, was 1; model.width is 16, was 8; optimizer.learning_rate is 0.1, was 0.05; use"
    #expect(other.output.split(separator: "\n").contains { $0.contains(keys) }, "\(other.output)")
    try write(cluster, [("epochs: 12", "epochs: 2")])
    let fewer = try cluster.train("run", hosts: "localhost")
    #expect(fewer.status == 78)
    #expect(fewer.output.contains("5 steps are done, which are more; give at least 3"), "\(fewer.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM revisions", as: Int.self) == [0])
    // Without its recipe.yaml a run knows its recipe by the digest.
    try FileManager.default.removeItem(atPath: cluster.folder.path("run/recipe.yaml"))
    let unknown = try cluster.train("run", hosts: "localhost", ["--seed", "4"])
    #expect(unknown.status != 0)
    try write(cluster, [("epochs: 12", "epochs: 12"), ("keep: 2", "keep: 3")])
    let resumed = try cluster.train("run", hosts: "localhost", ["--steps", "6"])
    #expect(resumed.status == 0, "\(resumed.output)")
    #expect(try Recipe.read(path: cluster.folder.path("run/recipe.yaml")).checkpoint.keep == 3)
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
  }

  @Test("a run without a step begins anew with a mended recipe and other clips, says so, and keeps its events")
  func beginsAnew() throws {
    let cluster = try LocalCluster(clips: 12)
    func begin() throws {
      let process = try RunningProcess(
        LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost", ["--launch", "none"]))
      #expect(process.wait(for: "waiting for"), "\(process.output)")
      process.signal(SIGINT)
      #expect(process.finish().status == 130)
    }
    func lines(_ output: String) -> [Substring] { output.split(separator: "\n").filter { $0.hasPrefix("no step was") } }
    try begin()
    let first = try cluster.query("run", "SELECT identity FROM runs", as: String.self)
    // The same recipe, or what any run may change, is no new beginning.
    try write(cluster, [("keep: 2", "keep: 3"), ("epochs: 12", "epochs: 3")])
    try begin()
    #expect(try cluster.query("run", "SELECT count(*) FROM revisions", as: Int.self) == [1])
    // What cannot be used leaves the run as it was.
    let text = try cluster.folder.text("data/train.csv").split(separator: "\n")
    try cluster.folder.write(text.dropLast(2).joined(separator: "\n") + "\n", to: "data/short.csv")
    try write(cluster, [("path: data", "path: data, train_list: none.csv")])
    let typo = try cluster.train("run", hosts: "localhost")
    #expect(typo.status == 74 && typo.output.contains("none.csv: cannot be read"), "\(typo.output)")
    #expect(try cluster.query("run", "SELECT recipe_digest FROM runs", as: String.self).count == 1)

    // So does a worker that may have steps, and a checkpoint of the state before the first one is put aside.
    try write(cluster, [("path: data", "path: data, train_list: short.csv"), ("lanes: 5", "lanes: 3")])
    let (host, pid) = (ProcessInfo.processInfo.hostName, ProcessInfo.processInfo.processIdentifier)
    try cluster.execute(
      "run", "INSERT INTO members VALUES (0, '5', '\(host)', \(pid), 1, '2026-01-01 00:00:00.000', NULL, NULL)")
    let present = try cluster.train("run", hosts: "localhost")
    #expect(present.status == 78 && present.output.contains("begun with another recipe"), "\(present.output)")
    try cluster.execute("run", "UPDATE members SET left_at = joined_at")
    try FileManager.default.createDirectory(
      atPath: cluster.folder.path("run/checkpoints/step-00000000"), withIntermediateDirectories: true)

    let trained = try cluster.train("run", hosts: "localhost slots=2", ["--steps", "3"])
    #expect(trained.status == 0, "\(trained.output)")
    let said =
      "no step was committed, so the run begins anew: batch.lanes is 3, was 5; data.train_list is \"short.csv\", was "
      + "\"train.csv\""
    #expect(lines(trained.output) == [said[...]], "\(trained.output)")
    #expect(trained.output.contains("small: 10 training clips"), "\(trained.output)")
    #expect(FileManager.default.fileExists(atPath: cluster.folder.path("run/checkpoints/rejected-step-00000000")))
    #expect(try cluster.query("run", "SELECT text FROM events WHERE text LIKE 'no step%'", as: String.self) == [said])
    #expect(try cluster.query("run", "SELECT count(*) FROM revisions", as: Int.self) == [0])
    #expect(try cluster.query("run", "SELECT identity FROM runs", as: String.self) != first)
    for audit in try cluster.audits("run") { #expect(audit.output.hasPrefix("ok: 3 steps"), "\(audit)") }
    // With steps, another recipe is refused as ever.
    try write(cluster, [("lanes: 5", "lanes: 4")])
    let refused = try cluster.train("run", hosts: "localhost")
    #expect(refused.status == 78 && refused.output.contains("batch.lanes is 4, was 3"), "\(refused.output)")

    // The bits are those of a run that had this recipe from the start.
    try write(cluster, [("path: data", "path: data, train_list: short.csv"), ("lanes: 5", "lanes: 3")])
    let fresh = try cluster.train("fresh", hosts: "localhost slots=2", ["--steps", "3"])
    #expect(fresh.status == 0, "\(fresh.output)")
    #expect(try cluster.weights("run") == cluster.weights("fresh"))
  }

  @Test("clips that are left out are counted for each list, and lists and folders that are named must be there")
  func lists() throws {
    let cluster = try LocalCluster(clips: 12)
    for (list, rows) in [("train", 1), ("validation", 2)] {
      let text = try cluster.folder.text("data/\(list).csv")
      let gone = (0..<rows).map { "moving left,gone\($0),0,2,train,0\n" }.joined()
      try cluster.folder.write(text + gone, to: "data/\(list).csv")
    }
    let counted = try cluster.train("run", hosts: "localhost", ["--steps", "1"])
    #expect(counted.status == 0)
    let folder = cluster.folder.path("run/index")
    #expect(
      counted.output.contains(
        "small: 12 training clips (1 left out: \(folder)/rejected-train.tsv) and 9 validation clips (2 left out: "
          + "\(folder)/rejected-validation.tsv), 1 steps"), "\(counted.output)")
    try write(cluster, [("path: data", "path: data, validation_list: validatoin.csv")])
    let typo = try cluster.train("typo", hosts: "localhost", ["--steps", "1"])
    #expect(typo.status == 74)
    #expect(typo.output.contains("data/validatoin.csv: cannot be read; check"), "\(typo.output)")
    // Nothing was trained, and nothing is left of it.
    #expect(!FileManager.default.fileExists(atPath: cluster.folder.path("typo")))
    try write(cluster, [("path: data", "path: daat, validation_list: validation.csv")])
    let elsewhere = try cluster.train("typo", hosts: "localhost", ["--steps", "1"])
    #expect(elsewhere.status == 74)
    #expect(
      elsewhere.output.contains("/daat: there is no such folder; check the recipe's data.path"), "\(elsewhere.output)")
    try write(cluster, [("path: data", "path: data, train_videos: trian")])
    let folders = try cluster.train("typo", hosts: "localhost", ["--steps", "1"])
    #expect(folders.status == 74)
    #expect(
      folders.output.contains(
        "small.yaml: line 6: 'data.train_videos' is 'trian', but there is no folder \(cluster.folder.path("data/trian"))"
      ), "\(folders.output)")
    // The default may be missing, and one may do without.
    try FileManager.default.removeItem(atPath: cluster.folder.path("data/validation.csv"))
    for (name, words) in [("unnamed", "path: data"), ("none", "path: data, validation_list: ''")] {
      try write(cluster, [("path: data", words)])
      let trained = try cluster.train(name, hosts: "localhost", ["--steps", "1"])
      #expect(trained.status == 0, "\(trained.output)")
      #expect(trained.output.contains("and 0 validation clips, "), "\(trained.output)")
    }
  }
}
