import Foundation
import Recipes
import Shared
import TestSupport
import Testing

/// A few keys of the recipe that change what training computes.
struct RecipeVariant: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// Replaces lines of the small recipe, or adds to them.
  let lines: [String: String]

  /// Each network, update rule, schedule, loss and augmentation at least once, several in a variant.
  static let each = [
    RecipeVariant(
      testDescription: "adamw",
      lines: [
        "optimizer":
          "{kind: adamw, learning_rate: 0.01, clip_norm: 1, ema: 0.9, groups: [\"*.bias decay=0\", \"new_fc.* rate=3\"]}",
        "loss": "{label_smoothing: 0.1, class_weights: balanced}",
        "schedule": "{kind: cosine-step, epochs: 3, warmup_epochs: 1}",
      ]),
    RecipeVariant(
      testDescription: "frozen",
      lines: [
        "freeze": "[\"*.conv1.weight\", \"*.bn1.*\", \"*.layer1.*\", \"*_*0.*\"]", "schedule": "{epochs: 3}",
        "data": "{path: data, flip: false, mixup: 0.4, cutmix: 1}",
      ]),
    RecipeVariant(
      testDescription: "augmented",
      lines: [
        "model": model("blvnet-tam", "groups: 4, partial_bn: true, blending_frames: 5"), "schedule": "{epochs: 3}",
        "data": "{path: data, crop_area: 0.3, colour_jitter: 0.4, hue_jitter: 0.1, erasing: 0.5, balanced: true}",
      ]),
    RecipeVariant(
      testDescription: "blvnet",
      lines: [
        "model": model("blvnet", "groups: 4"),
        "optimizer": "{learning_rate: 0.05, nesterov: false, clip_norm: 0.5, ema: 0.5}",
        "loss": "{class_weights: [1, 2, 0.5, 1, 3, 1]}", "schedule": "{kind: step, step_epochs: 1, epochs: 3}",
        "data": "{path: data, sampling: dense, multi_scale: false, shuffle_frames: true}",
      ]),
    RecipeVariant(
      testDescription: "blvnet-tsm",
      lines: [
        "model": model("blvnet-tsm", "groups: 4, shift_div: 3"),
        "schedule": "{kind: plateau, plateau_on: validation, patience: 0, epochs: 3}",
        "validation": "{every_epochs: 1, clips: 7}", "data": "{path: data, cutmix: 1, evaluation_crops: 3}",
      ]),
    RecipeVariant(
      testDescription: "tsn",
      lines: [
        "model": model("tsn", "groups: 8, temporal_stride: true"), "precision": "bf16", "emulate_bf16": "true",
        "optimizer": "{kind: adamw, learning_rate: 0.003}",
        "schedule": "{kind: multi-step, milestones: [1, 2], epochs: 3}",
      ]),
    RecipeVariant(
      testDescription: "tsm",
      lines: [
        "model": model("tsm", "groups: 4, shift_div: 4, partial_bn: true"),
        "schedule": "{kind: plateau, patience: 0, epochs: 3}", "data": "{path: data, mixup: 0.2, balanced: true}",
        "freeze": "[\"layer2.*\", \"!layer2.1.*\"]", "exchange": "{shared_memory: false, gradient_bits: 8}",
      ]),
    RecipeVariant(
      testDescription: "tam",
      lines: [
        "model": model("tam", "groups: 16, temporal_stride: true, temporal_pooling: avg"),
        "optimizer": "{learning_rate: 0.01, groups: [\"*.tam.* rate=2 decay=0\"]}", "schedule": "{epochs: 3}",
        "data": "{path: data, crop_area: 0.5, frames_per_group: 2}",
      ]),
    RecipeVariant(
      testDescription: "i3d",
      lines: [
        "model": model("i3d", "groups: 6, temporal_stride: true"), "loss": "{label_smoothing: 0.2}",
        "optimizer": "{kind: adamw, learning_rate: 0.003, ema: 0.9}", "schedule": "{kind: cosine-step, epochs: 3}",
        "data": "{path: data, erasing: 0.5, colour_jitter: 0.2}",
      ]),
    RecipeVariant(
      testDescription: "multigrid",
      lines: [
        "model": "{depth: 50, width: 8, groups: 8, input_size: 32, dropout: 0.3, classes: 6}",
        "schedule": "{kind: cosine-step, epochs: 6, warmup_epochs: 1.5, multigrid: both}",
        "data": "{path: data, flip: false, mixup: 0.4, cutmix: 1, sampling: dense, dense_stride: 2}",
        "checkpoint": "{every_steps: 2, keep: 2}",
      ]),
    several,
  ]

  /// Clips of several classes: see `LocalCluster.writeLists`.
  static let several = RecipeVariant(
    testDescription: "several labels",
    lines: [
      "model": "{depth: 50, width: 8, groups: 4, input_size: 32, classes: 9}",
      "loss": "{kind: binary, class_weights: balanced, label_smoothing: 0.1}", "schedule": "{epochs: 4}",
      "data": "{path: data, flip: false, train_list: train.txt, validation_list: validation.txt}",
      "validation": "{every_epochs: 1, clips: 8, precise_bn: 7}",
    ])

  /// Each network in depth 101 with each update rule, and everything that may surround it: for nights.
  static let all =
    each
    + [Architecture.blvnetTAM, .blvnet, .blvnetTSM, .tsn, .tsm, .tam, .i3d].flatMap { network in
      let head = [.tsn, .tsm, .tam, .i3d].contains(network) ? "fc" : "new_fc"
      let model = model(network.rawValue, "groups: 8").replacingOccurrences(of: "depth: 50", with: "depth: 101")
      let common = ["model": model, "engine": "openblas"]
      return [
        RecipeVariant(
          testDescription: "\(network.rawValue)-101, sgd",
          lines: common.merging([
            "optimizer":
              "{learning_rate: 0.05, clip_norm: 1, ema: 0.9, groups: [\"\(head).* rate=3\", \"*.bias decay=0\"]}",
            "loss": "{label_smoothing: 0.1, class_weights: balanced}", "freeze": "[\"*bn1.*\", \"*layer1.*\"]",
            "schedule": "{kind: step, step_epochs: 2, epochs: 3}",
            "data":
              "{path: data, mixup: 0.4, cutmix: 1, crop_area: 0.3, colour_jitter: 0.4, hue_jitter: 0.1, erasing: 0.5}",
          ]) { $1 }),
        RecipeVariant(
          testDescription: "\(network.rawValue)-101, adamw",
          lines: common.merging([
            "optimizer": "{kind: adamw, learning_rate: 0.003, clip_norm: 1, ema: 0.9, groups: [\"\(head).* rate=3\"]}",
            "loss": "{label_smoothing: 0.1, class_weights: [1, 2, 0.5, 1, 3, 1]}",
            "model": model.replacingOccurrences(of: "}", with: ", partial_bn: true}"),
            "schedule": "{kind: plateau, plateau_on: validation, patience: 0, epochs: 3}",
            "validation": "{every_epochs: 1}",
            "data": "{path: data, balanced: true, mixup: 0.2, crop_area: 0.5, erasing: 0.5, sampling: dense}",
          ]) { $1 }),
      ]
    }

  /// TAMRING_VARIANTS=all takes the nights' too.
  static let chosen = ProcessInfo.processInfo.environment["TAMRING_VARIANTS"] == "all" ? all : each

  private typealias Architecture = ModelRecipe.Architecture

  private static func model(_ architecture: String, _ more: String) -> String {
    "{architecture: \(architecture), depth: 50, width: 8, input_size: 32, dropout: 0.3, classes: 6, \(more)}"
  }

  var recipe: String {
    var rest = lines
    let kept = LocalCluster.recipe.split(separator: "\n").map { line in
      let key = String(line.prefix { $0 != ":" })
      return rest.removeValue(forKey: key).map { "\(key): \($0)" } ?? String(line)
    }
    return (kept + rest.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }).joined(separator: "\n") + "\n"
  }
}

extension LocalCluster {
  /// Lists of the demo's clips with two labels each: the clip's class, and 6, 7 or 8 for a pair of classes.
  fileprivate func writeLists() throws {
    for list in ["train", "validation"] {
      let root = folder.path("data/\(list)")
      var rows: [String] = []
      for (number, name) in try FileManager.default.contentsOfDirectory(atPath: root).sorted().enumerated() {
        for file in try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(name)").sorted() {
          rows.append("\(name)/\(file) \(number) \(6 + number / 2)\n")
        }
      }
      try folder.write(rows.joined(), to: "data/\(list).txt")
    }
  }

  /// What the journal has of a run's validations.
  fileprivate func figures(_ name: String) throws -> [String] {
    try query(
      name,
      "SELECT step || ' ' || clips || ' ' || top1 || ' ' || loss_sum || ' ' || ifnull(mean_precision, '') FROM evaluations "
        + "ORDER BY step, id", as: String.self)
  }
}

/// The first promise for what recipes can ask for besides.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RecipeVariantTests {
  @Test("1, 2 and 3 workers, and 2 of which one is killed, end with the same bytes", arguments: RecipeVariant.chosen)
  func sameBits(_ variant: RecipeVariant) throws {
    let cluster = try LocalCluster(clips: 27)
    try cluster.folder.write(variant.recipe, to: "small.yaml")
    try cluster.writeLists()
    var (weights, figures): ([[String]], [[String]]) = ([], [])
    for hosts in ["localhost", "localhost slots=2", "localhost slots=3"] {
      let name = "run\(weights.count)"
      let finished = try cluster.train(name, hosts: hosts)
      #expect(finished.status == 0, "\(finished.output)")
      weights.append(try cluster.weights(name))
      figures.append(try cluster.figures(name))
    }
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("hurt", hosts: "localhost slots=2"))
    let steps = "SELECT count(*) FROM steps"
    // Until then there may be no journal.
    #expect(process.wait { (try? cluster.query("hurt", steps, as: Int.self)).map { $0[0] > 1 } ?? false })
    let pids = try cluster.query("hurt", "SELECT pid FROM members WHERE rank = 1 AND left_at IS NULL", as: Int.self)
    for pid in pids { kill(pid_t(pid), SIGKILL) }
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    weights.append(try cluster.weights("hurt"))
    #expect(Set(weights).count == 1, "\(weights)")
    #expect(try Set(figures + [cluster.figures("hurt")]).count == 1, "\(figures)")
    // It died in the middle of the run.
    #expect(try cluster.query("hurt", "SELECT count(*) FROM generations", as: Int.self)[0] > 1)
    #expect(try cluster.query("hurt", steps, as: Int.self) == cluster.query("run0", steps, as: Int.self))
    #expect(try cluster.wrongEpochs("hurt") == 0)
    for audit in try cluster.audits("hurt") { #expect(audit.status == 0, "\(audit.output)") }
  }

  @Test(
    "clips of several labels: refused for softmax; validated, evaluated and predicted by the same figures for binary")
  func severalLabels() throws {
    let cluster = try LocalCluster()
    try cluster.writeLists()
    let recipe = RecipeVariant.several.recipe
    try cluster.folder.write(recipe.replacingOccurrences(of: "kind: binary, ", with: ""), to: "small.yaml")
    let refused = try cluster.train("run", hosts: "localhost")
    #expect(
      refused.status == 78 && refused.output.contains("train.txt:1: the clip")
        && refused.output.contains("'loss.kind: binary'"),
      "\(refused.output)")
    try cluster.folder.write(recipe, to: "small.yaml")
    let finished = try cluster.train("run", hosts: "localhost slots=2")
    #expect(finished.status == 0, "\(finished.output)")
    #expect(try cluster.folder.text("run/index/train.tsv").contains("\t0,6\t"))

    // The best by the mean average precision, then the loss.
    let rows = try cluster.figures("run").map { $0.split(separator: " ").compactMap { Int($0) } }
    let best = try #require(rows.max { ($0[4], -$0[3], -$0[0]) < ($1[4], -$1[3], -$1[0]) })
    let link = try FileManager.default.destinationOfSymbolicLink(atPath: cluster.folder.path("run/checkpoints/best"))
    #expect(rows.count == 4 && link == "step-" + String(repeating: "0", count: 8 - "\(best[0])".count) + "\(best[0])")
    func evaluate(_ more: [String]) throws -> Finished {
      try cluster.folder.write("localhost slots=2\n", to: "evaluate.hosts")
      return try cluster.run(
        LocalCluster.program("coordinator"),
        [
          "evaluate", "--workers", cluster.folder.path("evaluate.hosts"), "--recipe", cluster.folder.path("small.yaml"),
          "--run-dir", cluster.folder.path("run"), "--listen", "tcp://127.0.0.1:0", "--checkpoint",
          cluster.folder.path("run"),
        ] + more)
    }
    let classes = cluster.folder.path("classes.csv")
    let evaluated = try evaluate(["--per-class", classes])
    let status = try cluster.run(LocalCluster.program("coordinator"), ["status", cluster.folder.path("run")]).output
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("best model: step \(best[0]), mAP ") })
    #expect(
      evaluated.output.contains(line.dropFirst("best model: step \(best[0]), ".count)), "\(evaluated.output) \(status)")
    let precisions = try cluster.folder.text("classes.csv").split(separator: "\n").dropFirst().map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    #expect(precisions.count == 9 && precisions.reduce(0) { $0 + (Int($1[1]) ?? 0) } == 16)
    let known = precisions.compactMap { Double($0[2]) }
    #expect(abs(known.reduce(0, +) / Double(known.count) - Double(best[4]) * 0x1p-32) < 1e-6)
    // The running statistics give other figures.
    #expect(
      try !evaluate(["--precise-bn", "0"]).output.contains(line.dropFirst("best model: step \(best[0]), ".count)))
    let confusion = try evaluate(["--confusion", cluster.folder.path("m.csv")])
    #expect(confusion.status == 64 && confusion.output.contains("--confusion is for clips of one class"))

    let video = try #require(
      FileManager.default.enumerator(atPath: cluster.folder.path("data/train"))?.compactMap { $0 as? String }
        .first { $0.hasSuffix(".mp4") })
    let predicted = try cluster.run(
      LocalCluster.program("worker"),
      [
        "predict", "--model", cluster.folder.path("run"), "--json", "--top", "9",
        cluster.folder.path("data/train/\(video)"),
      ])
    let probabilities = predicted.output.components(separatedBy: "\"probability\":").dropFirst().compactMap {
      Double($0.prefix { "0123456789.e-".contains($0) })
    }
    #expect(probabilities.count == 9 && abs(probabilities.reduce(0, +) - 1) > 1e-3, "\(predicted.output)")
  }

  @Test("impossible combinations and patterns that match no tensor stand in one line, and nothing is started or made")
  func impossible() throws {
    let cluster = try LocalCluster(clips: 12)
    let recipe = RecipeVariant(
      testDescription: "impossible",
      lines: [
        "batch": "{lanes: 5, clips_per_lane: 1}", "data": "{path: data, mixup: 0.5}", "freeze": "[\"layer9.*\"]",
        "optimizer": "{learning_rate: 0.05, groups: [\"new_fc.wait rate=2\"]}",
      ])
    try cluster.folder.write(recipe.recipe, to: "small.yaml")
    let refused = try cluster.train("run", hosts: "localhost")
    #expect(refused.status == 78 && refused.output.split(separator: "\n").count == 1, "\(refused.output)")
    for mistake in [
      "'data.mixup' and 'data.cutmix' mix clips", "; freeze: 'layer9.*' matches no tensor; near are 'baseline_model.",
      "; optimizer.groups: 'new_fc.wait' matches no tensor; near are 'new_fc.weight', ",
    ] { #expect(refused.output.contains(mistake), "\(refused.output)") }
    #expect(!FileManager.default.fileExists(atPath: cluster.folder.path("run")))
  }
}
