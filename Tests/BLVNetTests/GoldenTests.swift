// Whole training steps against PyTorch's numbers (../shared/golden and golden-relatives, made by the reference
// implementations).
import Foundation
import Recipes
import Shared
import Testing
import Training
import Yams

@testable import BLVNet

enum SharedFiles {
  /// The folder beside the repository, or where TAMRING_SHARED points.
  static let root: URL = {
    if let path = ProcessInfo.processInfo.environment["TAMRING_SHARED"] { return URL(fileURLWithPath: path) }
    var repository = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { repository.deleteLastPathComponent() }
    return repository.deletingLastPathComponent().appendingPathComponent("shared")
  }()

  /// Relative to the root.
  static let goldenFolders: [String] = ["golden", "golden-relatives"].flatMap { group in
    let folder = root.appendingPathComponent(group)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter {
      FileManager.default.fileExists(atPath: folder.appendingPathComponent($0 + "/recipe.yaml").path)
    }
    .sorted().map { "\(group)/\($0)" }
  }
}

/// The few keys of a golden folder's recipe; it has only those that mean something for its network.
func goldenRecipe(_ path: String) throws -> (ModelRecipe, OptimizerRecipe) {
  let text = try String(contentsOfFile: path, encoding: .utf8)
  let yaml = try #require(try Yams.load(yaml: text) as? [String: [String: Any]])
  let (m, o) = (try #require(yaml["model"]), try #require(yaml["optimizer"]))
  func number(_ value: Any?) throws -> Double { try #require(value as? Double ?? (value as? Int).map(Double.init)) }
  var model = ModelRecipe()
  let architecture = try #require(m["architecture"] as? String)
  model.architecture = try #require(ModelRecipe.Architecture(rawValue: architecture))
  model.depth = try #require(m["depth"] as? Int)
  model.width = try #require(m["width"] as? Int)
  model.groups = try #require(m["groups"] as? Int)
  model.inputSize = try #require(m["input_size"] as? Int)
  func number(_ key: String, or standard: Int) throws -> Int {
    try m[key].map { try #require($0 as? Int, "model.\(key)") } ?? standard
  }
  model.alpha = try number("alpha", or: model.alpha)
  model.beta = try number("beta", or: model.beta)
  model.blendingFrames = try number("blending_frames", or: model.blendingFrames)
  model.shiftDiv = try number("shift_div", or: model.shiftDiv)
  model.temporalStride = m["temporal_stride"] as? Bool ?? false
  if let pooling = m["temporal_pooling"] as? String {
    model.temporalPooling = try #require(ModelRecipe.TemporalPooling(rawValue: pooling))
  }
  model.dropout = try number(m["dropout"])
  model.classes = try #require(m["classes"] as? Int)
  var optimizer = OptimizerRecipe()
  optimizer.learningRate = try number(o["learning_rate"])
  optimizer.momentum = try number(o["momentum"])
  optimizer.weightDecay = try number(o["weight_decay"])
  optimizer.nesterov = try #require(o["nesterov"] as? Bool)
  return (model, optimizer)
}

struct Deviation {
  var worst: Float = 0
  var name = ""

  /// The largest difference, relative to the largest magnitude of `expected`.
  mutating func compare(_ name: String, _ actual: [Float], _ expected: [Float]) {
    let magnitude = expected.reduce(0) { max($0, abs($1)) }
    let difference = zip(actual, expected).reduce(Float(0)) { $1.0.isNaN ? .infinity : max($0, abs($1.0 - $1.1)) }
    let relative = difference == 0 ? 0 : difference / max(magnitude, .leastNormalMagnitude)
    if relative > worst { (worst, self.name) = (relative, name) }
  }
}

@Suite struct GoldenTests {
  @Test(
    "a golden step's logits, loss, gradients, parameters, momenta and statistics are PyTorch's within 1e-4",
    .enabled(if: !SharedFiles.goldenFolders.isEmpty, "no golden folders in TAMRING_SHARED or ../shared"),
    arguments: SharedFiles.goldenFolders, TestedEngine.allCases)
  func golden(_ folder: String, _ engine: TestedEngine) throws {
    let path = SharedFiles.root.appendingPathComponent(folder).path
    let (model, optimizer) = try goldenRecipe("\(path)/recipe.yaml")
    let step = try TrainingStep(
      model: model, optimizer: optimizer, engine: engine.make(), state: SafeTensors(path: "\(path)/state.safetensors"),
      batch: SafeTensors(path: "\(path)/batch.safetensors"))
    let actual = try SafeTensors(step.run(evaluating: true).bytes(), origin: "actual")
    let expected = try SafeTensors(path: "\(path)/expected.safetensors")
    #expect(Set(actual.entries.keys) == Set(expected.entries.keys.filter { !$0.hasSuffix("num_batches_tracked") }))

    var all = Deviation()
    for (name, entry) in expected.entries where entry.format == .float32 {
      let values = try actual.floats(name, shape: entry.shape)
      var one = Deviation()
      one.compare(name, values, try expected.floats(name))
      all.compare(name, values, try expected.floats(name))
      #expect(one.worst <= 1e-4, "\(folder): \(name) deviates by \(one.worst)")
    }
    print("\(folder), \(engine): largest deviation \(all.worst) in \(all.name)")
  }
}
