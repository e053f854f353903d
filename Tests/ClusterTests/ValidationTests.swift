import Foundation
import Shared
import TestSupport
import Testing

/// Validation while training, with real processes: it changes no bit of the training, its figures are those of
/// `coordinator evaluate`, and the best model is kept.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ValidationTests {
  /// A step of an epoch is left half empty. Only one checkpoint is kept, besides the best one.
  private func cluster() throws -> LocalCluster {
    let cluster = try LocalCluster(clips: 27, validation: 48)
    var recipe = LocalCluster.recipe
    for (from, to) in [
      ("epochs: 12", "epochs: 6"), ("every_epochs: 0", "every_epochs: 1, clips: 40"),
      ("{every_steps: 7, keep: 2}", "{keep: 1}"),
    ] { recipe = recipe.replacingOccurrences(of: from, with: to) }
    try cluster.folder.write(recipe, to: "small.yaml")
    return cluster
  }

  /// What the journal has of the validations, in the order of the steps.
  private func figures(_ cluster: LocalCluster, _ name: String) throws -> [String] {
    try cluster.query(
      name,
      "SELECT step || ' ' || clips || ' ' || top1 || ' ' || top5 || ' ' || loss_sum || ' ' || state_digest "
        + "FROM evaluations ORDER BY step, id", as: String.self)
  }

  private func best(_ cluster: LocalCluster, _ name: String) throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: cluster.folder.path("\(name)/checkpoints/best"))
  }

  /// Waits until the members of a run evaluate the state before `step`.
  private func waitForValidation(_ cluster: LocalCluster, _ name: String, before step: Int) throws {
    let paused =
      "SELECT count(*) FROM generations WHERE start_step = \(step) AND json_extract(plan, '$.pauses') = 1"
    while try cluster.query(name, paused, as: Int.self)[0] == 0 { usleep(2000) }
  }

  @Test("1 and 2 workers, with kills during validations, come to the same bits, figures and best model")
  func everyEpoch() throws {
    let cluster = try cluster()
    let coordinator = LocalCluster.program("coordinator")
    let one = try cluster.train("one", hosts: "localhost threads=2")
    #expect(one.status == 0, "\(one.output)")
    let wanted = try figures(cluster, "one")
    #expect(wanted.map { $0.split(separator: " ")[0] } == ["3", "6", "9", "12", "15", "18"])
    #expect(wanted.allSatisfy { $0.split(separator: " ")[1] == "40" })

    // A worker dies while the state before step 6 is evaluated, the coordinator during the one before step 12.
    let process = try RunningProcess(coordinator, cluster.training("two", hosts: "localhost slots=2"))
    #expect(process.wait(for: "run directory"))
    try waitForValidation(cluster, "two", before: 6)
    let pids = try cluster.query("two", "SELECT pid FROM members WHERE rank = 1 AND left_at IS NULL", as: Int.self)
    for pid in pids { kill(pid_t(pid), SIGKILL) }
    try waitForValidation(cluster, "two", before: 12)
    process.signal(SIGKILL)
    _ = process.finish()
    let two = try cluster.train("two", hosts: "localhost slots=2")
    #expect(two.status == 0, "\(two.output)")
    #expect(try figures(cluster, "two") == wanted)
    #expect(try cluster.weights("two") == cluster.weights("one"))
    for audit in try cluster.audits("one") + cluster.audits("two") { #expect(audit.status == 0, "\(audit.output)") }

    // Validation has touched no bit.
    let recipe = try cluster.folder.text("small.yaml")
    try cluster.folder.write(
      recipe.replacingOccurrences(of: "every_epochs: 1", with: "every_epochs: 0"), to: "small.yaml")
    let none = try cluster.train("none", hosts: "localhost slots=2")
    #expect(none.status == 0, "\(none.output)")
    #expect(try cluster.weights("none") == cluster.weights("one"))
    #expect(try figures(cluster, "none") == wanted.suffix(1))

    // The best by top-1, then loss, is kept beside the newest.
    func numbers(_ row: String) -> [Int] { row.split(separator: " ").prefix(5).compactMap { Int($0) } }
    let sorted = wanted.map(numbers).sorted { ($0[2], -$0[4], -$0[0]) > ($1[2], -$1[4], -$1[0]) }
    let top = try #require(sorted.first)
    let name = "step-" + String(repeating: "0", count: 8 - "\(top[0])".count) + "\(top[0])"
    #expect(try best(cluster, "one") == name && best(cluster, "two") == name)
    let kept = try FileManager.default.contentsOfDirectory(atPath: cluster.folder.path("two/checkpoints")).sorted()
    #expect(Set(kept) == Set(["best", "best.json", name, "step-00000018"]))
    let json = try cluster.folder.text("two/checkpoints/best.json")
    #expect(json == (try cluster.folder.text("one/checkpoints/best.json")) && json.contains("\"loss_sum\" : \(top[4])"))

    // Its figures are those of `evaluate`, digit for digit.
    try cluster.folder.write("localhost slots=2\n", to: "evaluate.hosts")
    let scores = cluster.folder.path("scores.csv")
    let evaluated = try cluster.run(
      coordinator,
      [
        "evaluate", "--workers", cluster.folder.path("evaluate.hosts"), "--recipe",
        cluster.folder.path("two/recipe.yaml"), "--run-dir", cluster.folder.path("two"), "--listen",
        "tcp://127.0.0.1:0", "--checkpoint", cluster.folder.path("two/checkpoints/best"), "--top", "1,2", "--scores",
        scores, "--per-class", cluster.folder.path("classes.csv"), "--confusion", cluster.folder.path("matrix.csv"),
        "--confusion", cluster.folder.path("matrix.svg"),
      ])
    let status = try cluster.run(coordinator, ["status", cluster.folder.path("two")]).output
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("best model: step \(top[0]), ") })
    let text = line.dropFirst("best model: step \(top[0]), ".count)
    #expect(evaluated.status == 0 && evaluated.output.contains("validation: \(text)"), "\(evaluated.output) \(status)")
    // The files say the same: each clip's first choice is in the scores, the matrix and the classes.
    let rows = try cluster.folder.text("scores.csv").split(separator: "\n").dropFirst().map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    #expect(rows.count == 40 && rows.count { $0[1] == $0[2] } == top[2])
    let classes = try cluster.folder.text("classes.csv").split(separator: "\n").map { $0.split(separator: ",") }
    #expect(classes[0].joined(separator: ",") == "class,clips,top1,top2,accuracy")
    #expect(classes.dropFirst().reduce(0) { $0 + (Int($1[2]) ?? 0) } == top[2])
    let matrix = try cluster.folder.text("matrix.csv").split(separator: "\n").dropFirst().map {
      $0.split(separator: ",").dropFirst().compactMap { Int($0) }
    }
    #expect(matrix.joined().reduce(0, +) == 40 && matrix.indices.reduce(0) { $0 + matrix[$1][$1] } == top[2])
    #expect(try cluster.folder.text("matrix.svg").hasPrefix("<svg"))
  }

  @Test("a plateau that follows the validations lowers the rate, training ends early, and resuming does nothing more")
  func plateauAndStop() throws {
    let cluster = try cluster()
    var recipe = try cluster.folder.text("small.yaml")
    for (from, to) in [
      ("epochs: 6, warmup_epochs: 1", "epochs: 30, kind: plateau, plateau_on: validation, patience: 0, gamma: 0.1"),
      ("clips: 40", "clips: 24, stop_after: 3"),
    ] { recipe = recipe.replacingOccurrences(of: from, with: to) }
    try cluster.folder.write(recipe, to: "small.yaml")
    let one = try cluster.train("one", hosts: "localhost")
    #expect(one.status == 0 && one.output.contains("the last validations found no better model"), "\(one.output)")
    let two = try cluster.train("two", hosts: "localhost slots=2")
    #expect(two.status == 0, "\(two.output)")
    let wanted = try figures(cluster, "one")
    #expect(try figures(cluster, "two") == wanted && cluster.weights("two") == cluster.weights("one"))
    let rates = try cluster.query("one", "SELECT DISTINCT learning_rate FROM steps ORDER BY step", as: Double.self)
    #expect(rates.count > 2 && zip(rates, rates.dropFirst()).allSatisfy { abs($1 / $0 - 0.1) < 1e-6 }, "\(rates)")
    let steps = try cluster.query("one", "SELECT count(*) FROM steps", as: Int.self)[0]
    #expect(steps < 90 && steps == 3 * wanted.count)
    // The audits work the rates out from the results, and see where they do not fit.
    let again = try cluster.train("one", hosts: "localhost")
    #expect(again.status == 0 && again.output.contains("validation: "), "\(again.output)")
    #expect(try figures(cluster, "one") == wanted)
    for audit in try cluster.audits("one") { #expect(audit.status == 0, "\(audit.output)") }
    try cluster.execute("one", "UPDATE evaluations SET top1 = min(clips, step / 3), loss_sum = 1000000 - step")
    let audits = try cluster.audits("one")
    #expect(audits.allSatisfy { $0.status == 1 && $0.output.contains("has the learning rate") }, "\(audits)")
    // What is validated is fixed then.
    try cluster.folder.write(recipe.replacingOccurrences(of: "clips: 24", with: "clips: 20"), to: "small.yaml")
    let changed = try cluster.train("two", hosts: "localhost")
    #expect(changed.status == 78 && changed.output.contains("validation.clips is 20, was 24"), "\(changed.output)")
  }

  @Test("without a coordinator the workers train on past a validation, which is made up for when it is back")
  func passed() throws {
    let cluster = try LocalCluster(clips: 47, validation: 24)
    var recipe = LocalCluster.recipe
    for (from, to) in [
      ("epochs: 12", "epochs: 24"), ("every_epochs: 0", "every_epochs: 12"), ("every_steps: 7", "every_steps: 1000"),
      // Three heartbeats without an answer: the coordinator is not heard.
      ("{evict_seconds: 3}", "{evict_seconds: 3, heartbeat_seconds: 0.05}"),
    ] { recipe = recipe.replacingOccurrences(of: from, with: to) }
    try cluster.folder.write(recipe, to: "small.yaml")
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    let first = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost slots=2"))
    #expect(first.wait(for: "run directory"))
    func steps() throws -> Int { try cluster.query("run", "SELECT count(*) FROM steps", as: Int.self)[0] }
    while try steps() < 5 { usleep(2000) }
    let worker = try cluster.query("run", "SELECT pid FROM members WHERE rank = 0", as: Int.self)[0]
    let (early, earlySteps) = (try processorTime(worker), try steps())
    while try steps() < earlySteps + 20 { usleep(2000) }
    first.signal(SIGKILL)
    _ = first.finish()
    // What shows that a worker steps is its processor time: 60 steps until the validation, and 30 more.
    let (late, lateSteps) = (try processorTime(worker), try steps())
    let wanted = late + (late - early) * (90 - lateSteps) / (lateSteps - earlySteps)
    while try processorTime(worker) < wanted, kill(pid_t(worker), 0) == 0 { usleep(5000) }
    let second = try cluster.train("run", hosts: "localhost slots=2")
    #expect(second.status == 0, "\(second.output)")
    #expect(second.output.contains("all workers went on in generation"), "\(second.output)")
    #expect(try figures(cluster, "run") == figures(cluster, "whole"))
    #expect(try cluster.weights("run") == cluster.weights("whole") && best(cluster, "run") == best(cluster, "whole"))
    let order = try cluster.query(
      "run", "SELECT at > (SELECT committed_at FROM steps WHERE step = 62) FROM evaluations WHERE step = 60",
      as: Bool.self)
    #expect(order == [true], "the workers did not pass the validation before step 60")
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
  }

  /// Ticks of processor time that a process has used.
  private func processorTime(_ pid: Int) throws -> Int {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    return fields.count > 12 ? (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0) : 0
  }
}
