// SGD against its formula in double precision, through the step that all commands share.
import BLVNet
import Recipes
import Shared
import Testing

@testable import Training

@Suite struct SGDTests {
  @Test(
    "a step follows the published rule, with and without Nesterov, from floats and from integers",
    arguments: [false, true])
  func rule(_ nesterov: Bool) throws {
    var recipe = OptimizerRecipe()
    recipe.nesterov = nesterov
    recipe.weightDecay = 0.01
    let network = try toyNetwork()
    let layout = network.layout
    let count = layout.parameterCount
    let exponents = layout.parameters.indices.map { Int32($0 % 2 == 0 ? -10 : -30) }
    let integers = randomNumbers(count, seed: 3).array.enumerated().map { i, value in
      i == 0 ? Int32(1) << 30 : Int32(value * 10_000)
    }
    let start = randomNumbers(count, seed: 1)
    let velocity = randomNumbers(count, seed: 2)
    var gradients: [Double] = []
    for (tensor, exponent) in zip(layout.parameters, exponents) {
      gradients += integers[tensor.range].map {
        Double($0) * Double(sign: .plus, exponent: Int(exponent), significand: 1)
      }
    }
    func run(_ gradient: StepGradient) throws -> ([Float], [Float]) {
      let slots = StateSlots(network, try recipe.makeRule())
      slots.parameters.copy(from: start)
      slots.ruleSlots[0].copy(from: velocity)
      slots.update(gradient, divisor: 3, rate: 0.25, step: 0)
      return (slots.parameters.array, slots.ruleSlots[0].array)
    }
    let (p, v) = try run(.reduced(AlignedStorage(integers), exponents: exponents))
    let (floatP, floatV) = try run(.summed(FloatStorage(gradients.map(Float.init))))
    #expect(p == floatP && v == floatV)

    for i in 0..<count {
      let d = gradients[i] / 3 + 0.01 * Double(start[i])
      let newV = 0.9 * Double(velocity[i]) + d
      let newP = Double(start[i]) - 0.25 * (nesterov ? d + 0.9 * newV : newV)
      #expect(abs(Double(v[i]) - newV) <= 1e-6 * max(1, abs(newV)))
      #expect(abs(Double(p[i]) - newP) <= 1e-6 * max(1, abs(newP)))
    }
  }

  @Test("running statistics keep nine tenths")
  func statistics() throws {
    let slots = StateSlots(try toyNetwork(), SGD(OptimizerRecipe()))
    let count = slots.statistics.count
    for i in 0..<count { slots.statistics[i] = i % 2 == 0 ? 1 : 10 }
    slots.updateStatistics(FloatStorage((0..<count).map { $0 % 2 == 0 ? 2 : 0 }))
    for i in 0..<count { #expect(abs(slots.statistics[i] - (i % 2 == 0 ? 1.1 : 9)) < 1e-6) }
  }

  @Test("a rule that does not exist is refused with those that do")
  func unknown() {
    let error = #expect(throws: SharedError.self) { try OptimizerRecipe().makeRule(named: "sdg", of: UpdateRules.all) }
    #expect(error?.status == .badConfiguration)
    #expect(error?.description.contains("optimizer.kind is sdg; it must be one of adamw, sgd") == true)
  }
}
