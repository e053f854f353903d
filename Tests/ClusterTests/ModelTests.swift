// What becomes of a trained model: prediction, features, and a run that starts from it.
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
    // Another network, or another kind of loss, is refused in the recipe's words before anything starts.
    for (old, new, words) in [
      ("width: 8", "width: 16", "its model.width is 8, the recipe says 16"),
      ("optimizer:", "loss: {kind: binary}\noptimizer:", "its loss.kind is softmax, the recipe says binary"),
    ] {
      try cluster.folder.write(LocalCluster.recipe.replacing(old, with: new), to: "other.yaml")
      let other = try cluster.run(
        LocalCluster.program("coordinator"),
        [
          "evaluate", "--workers", cluster.folder.path("run.hosts"), "--recipe", cluster.folder.path("other.yaml"),
          "--run-dir", cluster.folder.path("other"), "--listen", "tcp://127.0.0.1:0", "--checkpoint", run,
        ])
      let advice = "; name the recipe that it was trained with (--recipe)"
      #expect(other.status == 78 && other.output.contains("model.safetensors: \(words)\(advice)"), "\(other.output)")
      #expect(other.output.split(separator: "\n").count == 1, "\(other.output)")
    }
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
    let window = try worker("predict", "--model", run, "--json", "--top", "6", "--window", "1000", video)
    func classes(_ output: String) -> Substring? { output.split(separator: "[").last?.split(separator: "]").first }
    #expect(classes(window.output) == classes(single.output) && classes(single.output) != nil, "\(window.output)")

    let features = cluster.folder.path("f.safetensors")
    let written = try worker("features", "--model", run, "--out", features, folder, bad)
    #expect(written.status == 65, "\(written.output)")
    let file = try SafeTensors(path: features)
    #expect(file.entries["features"]?.shape == [9, 256] && file.entries["logits"]?.shape == [9, 6])
    let names = try cluster.folder.text("f.safetensors.tsv").split(separator: "\n")
    #expect(names.count == 10 && names[1].hasPrefix(results.first?.video ?? "?"))
  }

  @Test("a run starts from another's weights: the same bits with 1 and 2 workers and resumed without the file")
  func initialisation() throws {
    let cluster = try LocalCluster(clips: 20)
    let source = try cluster.train("source", hosts: "localhost", ["--steps", "2"])
    #expect(source.status == 0, "\(source.output)")
    func begin(_ name: String, _ model: String, hosts: String, _ more: [String] = []) throws -> Finished {
      let recipe = LocalCluster.recipe.replacing("classes: 6", with: "classes: 7") + "init: \(model)\n"
      try cluster.folder.write(recipe, to: "small.yaml")
      return try cluster.train(name, hosts: hosts, more)
    }
    let one = try begin("one", "source", hosts: "localhost", ["--steps", "3"])
    #expect(one.status == 0, "\(one.output)")
    #expect(one.output.contains("init: taken from the file: "), "\(one.output)")
    #expect(one.output.contains("init: skipped in the file: 2 (new_fc.bias: F32 [6], here F32 [7]; "), "\(one.output)")
    #expect(one.output.contains("init: beginning anew: 2 (new_fc.*)"), "\(one.output)")

    let wide = LocalCluster.recipe.replacing("width: 8", with: "width: 16") + "init: source\n"
    try cluster.folder.write(wide, to: "small.yaml")
    let other = try cluster.train("wide", hosts: "localhost")
    #expect(
      other.status == 78 && other.output.contains("model.safetensors: its model.width is 8, the recipe says 16; make"),
      "\(other.output)")

    // Elsewhere under another name, for two workers, stopped after a step and resumed when the file is gone.
    let model = cluster.folder.path("source/checkpoints/step-00000002/model.safetensors")
    try FileManager.default.copyItem(atPath: model, toPath: cluster.folder.path("elsewhere.safetensors"))
    let two = try begin("two", "elsewhere.safetensors", hosts: "localhost slots=2", ["--steps", "1"])
    #expect(two.status == 0, "\(two.output)")
    try FileManager.default.removeItem(atPath: cluster.folder.path("elsewhere.safetensors"))
    try FileManager.default.removeItem(atPath: cluster.folder.path("two/checkpoints/step-00000001"))
    let resumed = try begin("two", "elsewhere.safetensors", hosts: "localhost slots=2", ["--steps", "3"])
    #expect(resumed.status == 0, "\(resumed.output)")
    #expect(try cluster.weights("one") == cluster.weights("two"))
    #expect(
      try cluster.query("one", "SELECT recipe_digest FROM runs", as: String.self)
        == cluster.query("two", "SELECT recipe_digest FROM runs", as: String.self))

    // Other weights are another run; none that match, or no file, is one line before anything starts.
    let others = try begin("two", "source/checkpoints/step-00000002/../../../one", hosts: "localhost slots=2")
    #expect(others.status == 78 && others.output.contains("init_sha256 is"), "\(others.output)")
    let gone = try begin("three", "elsewhere.safetensors", hosts: "localhost")
    #expect(gone.status == 74 && gone.output.contains("elsewhere.safetensors: there is no such file"), "\(gone.output)")
    var strange = SafeTensorsWriter()
    strange.add("weight", .float32, shape: [1], [Float(1)])
    try strange.bytes().write(to: URL(fileURLWithPath: cluster.folder.path("strange.safetensors")))
    let nothing = try begin("four", "strange.safetensors", hosts: "localhost")
    #expect(nothing.status == 65 && nothing.output.contains("none of its 1 tensors, such as 'weight', belongs to"))
  }
}
