// What becomes of a trained model: prediction and features.
import Foundation
import Shared
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) struct ModelTests {
  private struct Predicted: Decodable {
    struct Class: Decodable {
      var name: String
      var probability: Double
    }
    var video: String
    var from: Double?
    var to: Double?
    var classes: [Class]?
    var error: String?
  }

  @Test("a run's newest checkpoint predicts what evaluate counts; a bad file is told, and the rest go on")
  func prediction() throws {
    let cluster = try LocalCluster(clips: 20)
    let trained = try cluster.train("run", hosts: "localhost", ["--steps", "4"])
    #expect(trained.status == 0, "\(trained.output)")
    func worker(_ arguments: String...) throws -> Finished {
      try cluster.run(LocalCluster.program("worker"), arguments)
    }
    let run = cluster.folder.path("run")
    let folder = cluster.folder.path("data/validation")
    try cluster.folder.write("no video", to: "bad.mp4")
    let bad = cluster.folder.path("bad.mp4")
    let mixed = try worker("predict", "--model", run, "--json", "--top", "6", bad, folder)
    #expect(mixed.status == 65, "\(mixed.output)")
    #expect(mixed.output.contains("worker: '\(bad)': cannot"))
    #expect(mixed.output.contains("worker: 1 of 10 videos could not be used"))
    let lines = try mixed.output.split(separator: "\n").filter { $0.hasPrefix("{") }
      .map { try JSONDecoder().decode(Predicted.self, from: Data($0.utf8)) }
    #expect(lines.count == 10 && lines[0].error?.contains("bad.mp4") == true)
    let results = lines.dropFirst()
    for result in results {
      let classes = try #require(result.classes)
      #expect(abs(classes.map(\.probability).reduce(0, +) - 1) < 1e-9 && classes.count == 6)
      #expect(zip(classes, classes.dropFirst()).allSatisfy { $0.probability >= $1.probability })
    }
    // A video's class is the name of its folder.
    let right = results.count {
      $0.classes?[0].name == URL(fileURLWithPath: $0.video).deletingLastPathComponent().lastPathComponent
    }
    let evaluated = try cluster.run(
      LocalCluster.program("coordinator"),
      [
        "evaluate", "--workers", cluster.folder.path("run.hosts"), "--recipe", cluster.folder.path("small.yaml"),
        "--run-dir", run, "--listen", "tcp://127.0.0.1:0", "--checkpoint", run + "/checkpoints/step-00000004",
      ])
    let percent = String(format: "%.1f", 100 * Double(right) / 9)
    #expect(evaluated.output.contains("top-1 \(percent) %"), "\(percent): \(evaluated.output)")

    // The same numbers with one thread, from the file alone, from a list, and for the only window.
    let model = run + "/checkpoints/step-00000004/model.safetensors"
    try FileManager.default.copyItem(atPath: model, toPath: cluster.folder.path("alone.safetensors"))
    let video = try #require(results.first?.video)
    let single = try worker(
      "predict", "--model", cluster.folder.path("alone.safetensors"), "--json", "--top", "6", "--threads", "1", video)
    #expect(single.status == 0 && mixed.output.contains(single.output), "\(single.output)")
    let windows = try worker("predict", "--model", run, "--window", "1000", video)
    #expect(windows.status == 0 && windows.output.contains("  0.00-"), "\(windows.output)")

    let features = cluster.folder.path("f.safetensors")
    let written = try worker("features", "--model", run, "--out", features, folder, bad)
    #expect(written.status == 65, "\(written.output)")
    let file = try SafeTensors(path: features)
    #expect(file.entries["features"]?.shape == [9, 256] && file.entries["logits"]?.shape == [9, 6])
    let names = try cluster.folder.text("f.safetensors.tsv").split(separator: "\n")
    #expect(names.count == 10 && names[1].hasPrefix(results.first?.video ?? "?"))
  }

}
