// Batch norms that are measured over many clips.
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

@Suite struct PreciseNormsTests {
  @Test("the statistics are those of all clips, whatever the groups, and frozen batch norms keep their running ones")
  func population() throws {
    let layout = try toyNetwork().layout
    let tensors = layout.statistics
    #expect(tensors.map(\.name) == ["stem_norm.running_mean", "stem_norm.running_var"])
    let channels = tensors[0].count
    // One number a clip, so that a group's statistics are known: pairs of clips, and a single one without variance.
    let groups: [[Double]] = [[1, 3], [-2, 4], [0.5]]
    var sums = [Int64](repeating: 0, count: layout.statisticCount)
    for group in groups {
      let mean = group.reduce(0, +) / Double(group.count)
      let variance = group.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(group.count)
      let moments = FloatStorage(count: layout.statisticCount)
      for i in 0..<channels {
        moments[tensors[0].offset + i] = Float(mean) * Float(i + 1)
        moments[tensors[1].offset + i] = Float(variance) * Float((i + 1) * (i + 1))
      }
      let added = try #require(PreciseNorms.sums(moments, layout, clips: group.count, groups: 3))
      for (i, value) in added.enumerated() { sums[i] += value }
    }
    let running = FloatStorage(count: layout.statisticCount)
    let found = try #require(PreciseNorms.statistics(sums, clips: 5, layout, running: running))
    let all = groups.flatMap { $0 }
    let mean = all.reduce(0, +) / 5
    let variance = all.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 5
    for i in 0..<channels {
      #expect(abs(Double(found[tensors[0].offset + i]) - mean * Double(i + 1)) < 1e-6)
      #expect(abs(Double(found[tensors[1].offset + i]) - variance * Double((i + 1) * (i + 1))) < 1e-4)
    }
    let frozen = try toyNetwork { $0.freeze = NamePatterns(["stem_norm.*"]) }.layout
    running[0] = 7
    #expect(try #require(PreciseNorms.statistics(sums, clips: 5, frozen, running: running)).array == running.array)
  }

  @Test("what is not finite, and sums of another network, are refused")
  func refused() throws {
    let layout = try toyNetwork().layout
    let moments = FloatStorage(count: layout.statisticCount)
    moments[0] = .nan
    #expect(PreciseNorms.sums(moments, layout, clips: 1, groups: 1) == nil)
    moments[0] = 1e9
    #expect(PreciseNorms.sums(moments, layout, clips: 1, groups: 1) == nil, "its square is too large")
    #expect(PreciseNorms.statistics([1], clips: 1, layout, running: moments) == nil)
  }

  @Test("a forward pass measures what training measures, and leaves nothing behind")
  func lane() throws {
    let network = try toyNetwork()
    let lane = Lane(network, maximumClips: 3)
    let parameters = randomNumbers(network.layout.parameterCount, seed: 1)
    let statistics = network.initialStatistics()
    let input = randomNumbers(3 * network.inputCount, seed: 2)
    let before = lane.evaluate(parameters: parameters, statistics: statistics, input: input, clips: 3)
    let measured = lane.batchStatistics(parameters: parameters, statistics: statistics, input: input, clips: 3)
    let trained = try unsafe lane.train(
      parameters: parameters, input: input, labels: [0, 1, 2], dropout: DropoutKey(seed: 1, step: 0, lane: 0)
    ) { _, _ in }
    #expect(measured.array == trained.batchStatistics.array && measured.array.contains { $0 != 0 })
    #expect(lane.evaluate(parameters: parameters, statistics: statistics, input: input, clips: 3) == before)
  }
}
