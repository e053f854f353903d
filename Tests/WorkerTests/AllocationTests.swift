// What a warm step asks of malloc, as a clock would not show it reliably. Counted for real, on the thread that
// computes.
import AllocationCounter
import BLVNet
import Recipes
import Shared
import Testing

@testable import Worker

@Suite struct AllocationTests {
  @Test(
    "a warm training step asks malloc for little: small arrays, and what oneDNN asks for in each call",
    arguments: [(Recipe.Engine.onednn, 950), (.openblas, 64)])
  func step(_ engine: Recipe.Engine, _ mostCalls: Int) throws {
    var recipe = Recipe()
    recipe.engine = engine
    (recipe.model.width, recipe.model.groups, recipe.model.inputSize, recipe.model.classes) = (16, 8, 64, 6)
    recipe.batch.clipsPerLane = 2
    let network = try Network(recipe.model, engine: recipe.makeEngine())
    let bench = try StepBench(recipe, network, threads: ComputeThreads(), training: true)
    for _ in 0..<2 { bench.step() }
    let before = tamring_thread_allocations()
    bench.step()
    let after = tamring_thread_allocations()
    let (calls, bytes) = (Int(after.calls - before.calls), after.bytes - before.bytes)
    #expect(before.calls > 1000, "the counter stands before malloc")
    #expect(calls < mostCalls)
    #expect(bytes < 1_200_000)
  }
}
