// `coordinator pack`, and training on what it made, with real programs.
import Foundation
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct PackTests {
  private func pack(_ cluster: LocalCluster, _ name: String, _ more: [String] = []) -> [String] {
    [
      "pack", cluster.folder.path(name), "--recipe", cluster.folder.path("small.yaml"), "--run-dir",
      cluster.folder.path("indexing"), "--clips-per-shard", "3", "--short-side", "64",
    ] + more
  }

  private func files(_ cluster: LocalCluster, _ name: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for file in try FileManager.default.subpathsOfDirectory(atPath: cluster.folder.path(name)) where file != "data.yaml"
    {
      if let data = FileManager.default.contents(atPath: cluster.folder.path("\(name)/\(file)")) { files[file] = data }
    }
    return files
  }

  @Test("a pack that was killed again and again has the bytes of one that was not; two workers train on it alone")
  func killedThenTrained() throws {
    let cluster = try LocalCluster(clips: 30)
    let program = LocalCluster.program("coordinator")
    let whole = try cluster.run(program, pack(cluster, "whole"))
    #expect(whole.status == 0 && whole.output.contains("39 clips"), "\(whole.output)")
    #expect(whole.output.contains("data:\n  path: \(cluster.folder.path("whole"))"), "\(whole.output)")

    // Killed when each of its first shards has its name.
    for shard in 0..<4 {
      let process = try RunningProcess(program, pack(cluster, "killed"))
      let path = cluster.folder.path("killed/train-00000\(shard).tar")
      while !FileManager.default.fileExists(atPath: path) { usleep(500) }
      process.signal(SIGKILL)
      #expect(process.finish().status == 128 + SIGKILL)
      #expect(!FileManager.default.fileExists(atPath: cluster.folder.path("killed/pack.json")))
    }
    let untouched = try FileManager.default.attributesOfItem(atPath: cluster.folder.path("killed/train-000000.tar"))
    let again = try cluster.run(program, pack(cluster, "killed"))
    #expect(again.status == 0 && again.output.contains("39 clips"), "\(again.output)")
    #expect(try files(cluster, "killed") == files(cluster, "whole"))
    let first = try FileManager.default.attributesOfItem(atPath: cluster.folder.path("killed/train-000000.tar"))
    #expect(untouched[.systemFileNumber] as? Int == first[.systemFileNumber] as? Int)

    let refused = try cluster.run(program, pack(cluster, "killed", ["--quality", "30"]))
    #expect(refused.status == 78 && refused.output.contains("quality was 23, is now 30"), "\(refused.output)")
    let verified = try cluster.run(program, ["pack", "--verify", cluster.folder.path("killed")])
    #expect(verified.status == 0 && verified.output.contains("39 clips in 13 shards are as they"), "\(verified.output)")

    // The originals are gone; only the pack is left.
    try FileManager.default.removeItem(atPath: cluster.folder.path("data"))
    try cluster.folder.write(
      LocalCluster.recipe.replacing("path: data", with: "path: whole"), to: "small.yaml")
    let trained = try cluster.train("run", hosts: "localhost slots=2", ["--steps", "4"])
    #expect(trained.status == 0, "\(trained.output)")
    #expect(trained.output.contains("a pack of 39 clips in 13 shards") && trained.output.contains("no video is opened"))
    #expect(trained.output.contains("30 training clips and 9 validation clips"), "\(trained.output)")
    #expect(try cluster.query("run", "SELECT count(*) FROM steps WHERE clips = 0", as: Int.self) == [0])
    #expect(try cluster.query("run", "SELECT count(*) FROM verdicts", as: Int.self) == [0])
    let ids = try cluster.query("run", "SELECT id FROM clips ORDER BY clip", as: String.self)
    #expect(ids.count == 30 && ids[0].hasPrefix("train-00000"), "\(ids)")
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }

    try damage(cluster, program)
  }

  /// One flipped bit, which only reading everything finds.
  private func damage(_ cluster: LocalCluster, _ program: String) throws {
    let path = cluster.folder.path("whole/train-000002.tar")
    var shard = try #require(FileManager.default.contents(atPath: path))
    shard[3000] ^= 1
    try shard.write(to: URL(fileURLWithPath: path))
    let verified = try cluster.run(program, ["pack", "--verify", cluster.folder.path("whole")])
    #expect(
      verified.status == 65 && verified.output.contains("train-000002.tar: the video of clip 'train-"),
      "\(verified.output)")
    let index = ["index", "--recipe", cluster.folder.path("small.yaml"), "--run-dir", cluster.folder.path("other")]
    #expect(try cluster.run(program, index).status == 0)
    let deep = try cluster.run(program, index + ["--deep"])
    #expect(deep.status == 65 && deep.output.contains("train-000002.tar: its contents have changed"), "\(deep.output)")
    try shard.dropLast(100).write(to: URL(fileURLWithPath: path))
    let short = try cluster.run(program, index)
    #expect(short.status == 65 && short.output.contains("and the pack's manifest says"), "\(short.output)")
  }
}
