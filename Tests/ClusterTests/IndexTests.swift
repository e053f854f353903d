// `coordinator index` and what a run says about its index, with real programs and files.
import Foundation
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct IndexTests {
  private func index(_ cluster: LocalCluster, _ more: [String] = []) throws -> Finished {
    try cluster.run(
      LocalCluster.program("coordinator"),
      ["index", "--recipe", cluster.folder.path("small.yaml"), "--run-dir", cluster.folder.path("run")] + more)
  }

  @Test("a second index opens only what changed, a repaired clip returns, and the page shows pictures")
  func again() throws {
    let cluster = try LocalCluster(clips: 20)
    let folder = cluster.folder.path("data/train/moving left")
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).sorted().first)
    let file = URL(fileURLWithPath: "\(folder)/\(name)")
    let whole = try Data(contentsOf: file)
    try Data("no video".utf8).write(to: file)
    let first = try index(cluster)
    #expect(first.status == 0 && first.output.contains("train: 19 clips, 1 left out"), "\(first.output)")
    #expect(first.output.contains("training clips left out, by reason:\n  1  '…': cannot"), "\(first.output)")
    try whole.write(to: file)
    let page = cluster.folder.path("data.html")
    let second = try index(cluster, ["--html", page])
    #expect(second.status == 0 && second.output.contains("train: 20 clips, 0 left out"), "\(second.output)")
    #expect(second.output.contains("classes have fewer than 10 training clips"), "\(second.output)")
    let html = try cluster.folder.text("data.html")
    #expect(html.components(separatedBy: "data:image/jpeg;base64,").count > 20)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: cluster.folder.path("run/index")).sorted() == [
        "key", "rejected-train.tsv", "rejected-validation.tsv", "train.clips", "train.files", "train.tsv",
        "validation.clips", "validation.files", "validation.tsv",
      ])
  }

  @Test("a resumed run goes on with its index and says what its lists have gained and lost; a damaged index is refused")
  func resumed() throws {
    let cluster = try LocalCluster(clips: 12)
    #expect(try cluster.train("run", hosts: "localhost", ["--steps", "2"]).status == 0)
    var lines = try cluster.folder.text("data/train.csv").components(separatedBy: "\n")
    lines[1] = "moving left,new,0,2,train,0"
    try cluster.folder.write(lines.joined(separator: "\n"), to: "data/train.csv")
    let resumed = try cluster.train("run", hosts: "localhost", ["--steps", "4"])
    #expect(resumed.status == 0, "\(resumed.output)")
    #expect(
      resumed.output.contains(
        "data/train.csv: has gained 1 rows and lost 1 since this run began (the first new one is 'new"),
      "\(resumed.output)")
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
    // An evaluation with the changed list leaves the run's index alone.
    let path = cluster.folder.path("run/index/train.clips")
    let index = try Data(contentsOf: URL(fileURLWithPath: path))
    var damaged = index
    damaged[index.count / 2] ^= 1
    try damaged.write(to: URL(fileURLWithPath: path))
    let refused = try cluster.train("run", hosts: "localhost", ["--steps", "6"])
    #expect(refused.status == 65 && refused.output.contains("train.clips: is damaged"), "\(refused.output)")
    for audit in try cluster.audits("run") {
      #expect(
        audit.status == 1 && audit.output.contains("is not the index that the run was begun with"), "\(audit.output)")
    }
    try index.write(to: URL(fileURLWithPath: path))
    #expect(try cluster.train("run", hosts: "localhost", ["--steps", "6"]).status == 0)
  }
}
