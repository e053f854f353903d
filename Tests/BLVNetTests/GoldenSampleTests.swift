// Four of PyTorch's training steps that every clone has, each tensor of the result as a sample of its elements
// (Tests/Fixtures/make_golden_samples.py). GoldenTests compares whole tensors, where ../shared is present.
import Foundation
import Shared
import Testing
import Training

@testable import BLVNet

@Suite struct GoldenSampleTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/golden")

  @Test(
    "of a golden step, samples of logits, gradients, parameters, momenta and statistics are PyTorch's within 1e-4",
    arguments: [
      "blvnet50-w8-f4-72px-a4b2", "blvnet101-w8-f4-48px-r5", "tam50-w8-f4-48px-b3", "i3d50-w4-f8-48px-ts",
    ], TestedEngine.allCases)
  func samples(_ folder: String, _ engine: TestedEngine) throws {
    let path = Self.root.appendingPathComponent(folder).path
    let (model, optimizer) = try goldenRecipe("\(path)/recipe.yaml")
    let step = try TrainingStep(
      model: model, optimizer: optimizer, engine: engine.make(), state: SafeTensors(path: "\(path)/state.safetensors"),
      batch: SafeTensors(path: "\(path)/batch.safetensors"))
    let actual = try SafeTensors(step.run(evaluating: true).bytes(), origin: "actual")
    let sample = try SafeTensors(path: "\(path)/sample.safetensors")
    let names = sample.entries.keys.filter { !$0.hasPrefix("max.") }
    #expect(Set(names) == Set(actual.entries.keys) && names.count > 500)
    for name in names.sorted() {
      let (all, expected) = (try actual.floats(name), try sample.floats(name))
      let largest = try sample.floats("max.\(name)")[0]
      let stride = max(1, all.count / expected.count)
      let tolerance = max(1e-4 * largest, .leastNormalMagnitude)
      let wrong = expected.indices.filter { !(abs(all[$0 * stride] - expected[$0]) <= tolerance) }
      #expect(wrong.isEmpty, "\(folder): \(name), elements \(wrong.map { $0 * stride })")
      let found = all.reduce(Float(0)) { $1.isNaN ? .infinity : max($0, abs($1)) }
      #expect(abs(found - largest) <= tolerance, "\(folder): the largest magnitude of \(name)")
    }
  }
}
