import Shared
import Testing

@testable import Dataset

@Suite struct EpochOrderTests {
  @Test("every clip is consumed exactly once an epoch, whatever the counts of clips, lanes and clips of a lane")
  func onceAnEpoch() {
    for count in [0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 97] {
      for lanes in [1, 2, 3, 4, 8] {
        for clipsPerLane in [1, 2, 3, 8] {
          let shards = StepShards(count: count, lanes: lanes, clipsPerLane: clipsPerLane)
          let order = EpochOrder(seed: 3, epoch: 2, count: count)
          var consumed: [Int] = []
          for step in 0..<shards.stepsPerEpoch {
            let laneClips = (0..<lanes).map { order.clips(step: step, lane: $0, in: shards) }
            #expect(laneClips.map(\.count).reduce(0, +) == shards.clips(inStep: step))
            #expect(shards.clips(inStep: step) > 0)
            if step < shards.stepsPerEpoch - 1 { #expect(laneClips.allSatisfy { $0.count == clipsPerLane }) }
            consumed += laneClips.joined()
          }
          #expect(consumed == order.clips.map { Int($0) })
          #expect(consumed.sorted() == Array(0..<count))
        }
      }
    }
  }

  @Test("the lanes of the short last step fill in order")
  func shortStep() {
    let shards = StepShards(count: 21, lanes: 4, clipsPerLane: 2)
    #expect(shards.stepsPerEpoch == 3)
    #expect((0..<4).map { shards.positions(step: 2, lane: $0) } == [16..<18, 18..<20, 20..<21, 21..<21])
    #expect(shards.clips(inStep: 2) == 5)
  }

  @Test("the order is the permutation that Philox draws")
  func permutation() {
    for count in [0, 1, 2, 5, 1000] {
      var random = Philox(seed: 3, .epochOrder, 2)
      #expect(EpochOrder(seed: 3, epoch: 2, count: count).clips.map { Int($0) } == random.permutation(count))
    }
  }

  @Test("the order is a function of seed and epoch")
  func order() {
    let order = EpochOrder(seed: 1, epoch: 0, count: 50)
    #expect(order == EpochOrder(seed: 1, epoch: 0, count: 50))
    #expect(order != EpochOrder(seed: 1, epoch: 1, count: 50))
    #expect(order != EpochOrder(seed: 2, epoch: 0, count: 50))
  }
}
