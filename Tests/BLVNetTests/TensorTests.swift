// The layout of the state's tensors, and their initial values.
import CKernels
import Recipes
import Shared
import Testing

@testable import BLVNet

@Suite struct TensorTests {
  @Test("a layout is sorted by the names' bytes, without gaps")
  func order() {
    func tensors(_ shapes: [String: [Int]]) -> [String: TensorDeclaration] {
      shapes.mapValues { TensorDeclaration(shape: $0, initial: .constant(0)) }
    }
    let layout = StateLayout(
      parameters: tensors(["x.b": [2], "x.a.1": [3], "x.a": [1], "é": [1], "Z": [4]]),
      statistics: tensors(["m": [5]]))
    #expect(layout.parameters.map(\.name) == ["Z", "x.a", "x.a.1", "x.b", "é"])
    #expect(layout.parameters.map(\.offset) == [0, 4, 5, 8, 10])
    #expect(layout.parameterCount == 11 && layout.statisticCount == 5)
  }

  /// The polar method as plainly as can be: one number after the other, and PortableMath.
  private func normal(_ count: Int, deviation: Double, seed: UInt64, stream: UInt32) -> [UInt32] {
    var random = Philox(seed: seed, .initialValues, stream)
    var values: [Float] = []
    while values.count < count {
      let x = 2 * random.unit() - 1
      let y = 2 * random.unit() - 1
      let square = x * x + y * y
      guard square > 0, square < 1 else { continue }
      let radius = (-2 * PortableMath.log(square) / square).squareRoot()
      values.append(Float(deviation * x * radius))
      if values.count < count { values.append(Float(deviation * y * radius)) }
    }
    return values.map(\.bitPattern)
  }

  private func uniform(_ count: Int, bound: Double, seed: UInt64, stream: UInt32) -> [UInt32] {
    var random = Philox(seed: seed, .initialValues, stream)
    return (0..<count).map { _ in Float(bound * (2 * random.unit() - 1)).bitPattern }
  }

  @Test("uniform values are those of the plain stream, bit for bit", arguments: [1, 2, 3, 5, 403, 100_001])
  func uniformValues(_ count: Int) {
    for kernel in [tamring_fill_uniform, tamring_fill_uniform_generic] {
      let values = FloatStorage(count: count + 1)
      values[count] = -1
      kernel(Philox.key(seed: 9, .initialValues), 7, Int64(count), 0.25, values.base)
      let isEqual = values.array(0..<count).map(\.bitPattern) == uniform(count, bound: 0.25, seed: 9, stream: 7)
      #expect(isEqual && values[count] == -1)
    }
  }

  @Test("normal values are those of the plain polar method, bit for bit", arguments: [1, 2, 3, 15, 402, 403, 100_001])
  func normalValues(_ count: Int) {
    for (seed, deviation) in [(UInt64(1), 0.001), (.max, 0.05)] {
      let expected = normal(count, deviation: deviation, seed: seed, stream: 7)
      // What lies behind must stay.
      let (fast, generic) = (FloatStorage(count: count + 1), FloatStorage(count: count + 1))
      (fast[count], generic[count]) = (-1, -1)
      let key = Philox.key(seed: seed, .initialValues)
      tamring_fill_normal(key, 7, Int64(count), deviation, fast.base)
      tamring_fill_normal_generic(key, 7, Int64(count), deviation, generic.base)
      for values in [fast, generic] {
        let isEqual = values.array(0..<count).map(\.bitPattern) == expected
        #expect(isEqual)
        #expect(values[count] == -1)
      }
    }
  }

  @Test(
    "all cores together fill a network's parameters with the values of each tensor's own stream",
    arguments: [ModelRecipe.Architecture.blvnetTAM, .tam])
  func parameters(_ architecture: ModelRecipe.Architecture) throws {
    var recipe = ModelRecipe()
    recipe.architecture = architecture
    (recipe.width, recipe.groups, recipe.inputSize) = (8, 4, 33)
    let network = try Network(recipe, engine: .openblas)
    let values = network.initialParameters(seed: 3)
    for (index, tensor) in network.layout.parameters.enumerated() {
      let expected =
        switch tensor.initial {
        case .constant(let value): [UInt32](repeating: value.bitPattern, count: tensor.count)
        case .normal(let deviation):
          normal(tensor.count, deviation: deviation, seed: 3, stream: UInt32(index))
        case .uniform(let bound): uniform(tensor.count, bound: bound, seed: 3, stream: UInt32(index))
        }
      let isEqual = values.array(tensor.range).map(\.bitPattern) == expected
      #expect(isEqual, "\(tensor.name)")
    }
  }

  @Test("a self-test's parameters are the first initial values of each tensor, repeated, and nowhere 0")
  func sampleParameters() throws {
    var recipe = ModelRecipe()
    (recipe.width, recipe.groups, recipe.inputSize) = (16, 4, 33)
    let network = try Network(recipe, engine: .openblas)
    let (samples, values) = (network.sampleParameters(seed: 3), network.initialParameters(seed: 3))
    var longest = 0
    for tensor in network.layout.parameters {
      let (sample, all) = (samples.array(tensor.range), values.array(tensor.range))
      let expected = all.indices.map { all[$0 % 4093] == 0 ? 0.125 : all[$0 % 4093] }
      let isEqual = sample == expected
      #expect(isEqual, "\(tensor.name)")
      longest = max(longest, all.count)
    }
    #expect(longest > 2 * 4093)
  }
}
