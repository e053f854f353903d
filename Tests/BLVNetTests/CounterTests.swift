// What a warm step may cost that a clock would not show reliably: memory. Counters, as times depend on the machine.
import Glibc
import Recipes
import Shared
import Testing

@testable import BLVNet

@Suite struct CounterTests {
  /// Of this thread: other tests run beside it.
  private static func faults() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(1), &usage)  // RUSAGE_THREAD, which Swift does not see
    return usage.ru_minflt
  }

  private func network(_ engine: Recipe.Engine) throws -> Network {
    var recipe = ModelRecipe()
    (recipe.width, recipe.groups, recipe.inputSize, recipe.classes) = (16, 8, 112, 7)
    return try Network(recipe, engine: engine)
  }

  @Test("a warm training step, or evaluation, touches no new memory", arguments: Recipe.Engine.allCases)
  func warm(_ engine: Recipe.Engine) throws {
    let network = try network(engine)
    let lane = Lane(network, maximumClips: 2)
    let (parameters, statistics) = (network.initialParameters(seed: 1), network.initialStatistics())
    let input = randomNumbers(2 * network.inputCount, seed: 2)
    func step() throws {
      _ = try lane.train(
        parameters: parameters, input: input, labels: [1, 2], dropout: DropoutKey(seed: 1, step: 2, lane: 3)
      ) { _, _ in }
      _ = lane.evaluate(parameters: parameters, statistics: statistics, input: input, clips: 2)
    }
    for _ in 0..<2 { try step() }
    let faults = Self.faults()
    for _ in 0..<3 { try step() }
    // The lane has some 20,000 pages.
    #expect(Self.faults() - faults < 100)
  }

  @Test("the arena of the published network holds a clip in 440 MB, and its workspace stays small")
  func arena() throws {
    let network = try Network(ModelRecipe(), engine: .onednn)
    let profile = Profile(network)
    #expect(profile.trainingBytes < 440_000_000, "\(profile.trainingBytes)")
    let lane = Lane(network, maximumClips: 1)
    #expect(lane.memoryBytes - profile.trainingBytes < 40_000_000, "\(lane.memoryBytes - profile.trainingBytes)")
  }
}
