import Foundation
import Shared
import TestSupport
import Testing

/// A few keys of the recipe that change what training computes.
struct RecipeVariant: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// Replaces lines of the small recipe, or adds to them.
  let lines: [String: String]

  static let all = [
    RecipeVariant(
      testDescription: "adamw",
      lines: [
        "optimizer":
          "{kind: adamw, learning_rate: 0.01, clip_norm: 1, ema: 0.9, groups: [\"*.bias decay=0\", \"new_fc.* rate=3\"]}",
        "loss": "{label_smoothing: 0.1, class_weights: balanced}",
        "schedule": "{kind: cosine-step, epochs: 4, warmup_epochs: 1}",
      ]),
    RecipeVariant(
      testDescription: "frozen",
      lines: [
        "freeze": "[\"*.conv1.weight\", \"*.bn1.*\", \"*.layer1.*\", \"*_*0.*\"]", "schedule": "{epochs: 4}",
        "data": "{path: data, flip: false, mixup: 0.4, cutmix: 1}",
      ]),
    RecipeVariant(
      testDescription: "augmented",
      lines: [
        "model": "{depth: 50, width: 8, groups: 4, input_size: 32, classes: 6, partial_bn: true}",
        "schedule": "{epochs: 4}",
        "data": "{path: data, crop_area: 0.3, colour_jitter: 0.4, hue_jitter: 0.1, erasing: 0.5, balanced: true}",
      ]),
    RecipeVariant(
      testDescription: "multigrid",
      lines: [
        "model": "{depth: 50, width: 8, groups: 8, input_size: 32, dropout: 0.3, classes: 6}",
        "schedule": "{kind: cosine-step, epochs: 6, warmup_epochs: 1.5, multigrid: both}",
        "data": "{path: data, flip: false, mixup: 0.4, cutmix: 1, sampling: dense, dense_stride: 2}",
        "checkpoint": "{every_steps: 2, keep: 2}",
      ]),
  ]

  var recipe: String {
    var rest = lines
    let kept = LocalCluster.recipe.split(separator: "\n").map { line in
      let key = String(line.prefix { $0 != ":" })
      return rest.removeValue(forKey: key).map { "\(key): \($0)" } ?? String(line)
    }
    return (kept + rest.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }).joined(separator: "\n") + "\n"
  }
}

/// The first promise for what recipes can ask for besides.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RecipeVariantTests {
  @Test("1, 2 and 3 workers, and 2 of which one is killed, end with the same bytes", arguments: RecipeVariant.all)
  func sameBits(_ variant: RecipeVariant) throws {
    let cluster = try LocalCluster()
    try cluster.folder.write(variant.recipe, to: "small.yaml")
    var weights: [[String]] = []
    for hosts in ["localhost", "localhost slots=2", "localhost slots=3"] {
      let name = "run\(weights.count)"
      let finished = try cluster.train(name, hosts: hosts)
      #expect(finished.status == 0, "\(finished.output)")
      weights.append(try cluster.weights(name))
    }
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("hurt", hosts: "localhost slots=2"))
    #expect(process.wait(for: "epoch 1/"), "\(process.output)")
    let pids = try cluster.query("hurt", "SELECT pid FROM members WHERE rank = 1 AND left_at IS NULL", as: Int.self)
    for pid in pids { kill(pid_t(pid), SIGKILL) }
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    weights.append(try cluster.weights("hurt"))
    #expect(Set(weights).count == 1, "\(weights)")
    #expect(try cluster.wrongEpochs("hurt") == 0)
    for audit in try cluster.audits("hurt") { #expect(audit.status == 0, "\(audit.output)") }
  }

  @Test("a pattern that matches no tensor ends the run before it begins, and the worker's line names it")
  func unmatched() throws {
    let cluster = try LocalCluster(clips: 12)
    let recipe = LocalCluster.recipe.replacingOccurrences(of: "evict_seconds: 3", with: "restarts: 0")
    try cluster.folder.write(recipe + "freeze: [\"layer9.*\"]\n", to: "small.yaml")
    let refused = try cluster.train("run", hosts: "localhost")
    #expect(refused.status != 0, "\(refused.output)")
    #expect(refused.output.contains("freeze: 'layer9.*' matches no tensor"), "\(refused.output)")
  }
}
