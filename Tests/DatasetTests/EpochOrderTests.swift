import Shared
import Testing

@testable import Dataset

@Suite struct EpochOrderTests {
  @Test("every clip is consumed exactly once an epoch, whatever the counts of clips, lanes and clips of a lane")
  func onceAnEpoch() {
    for count in [0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 97] {
      for lanes in [1, 2, 3, 4, 8] {
        for clipsPerLane in [1, 2, 3, 8] {
          let plan = StepPlan(clips: count, lanes: lanes, clipsPerLane: clipsPerLane)
          let order = EpochOrder(seed: 3, epoch: 2, count: count)
          let steps = plan.firstStep(ofEpoch: 2)..<plan.firstStep(ofEpoch: 3)
          let consumed = steps.flatMap { step in
            (0..<lanes).flatMap { order.clips(step: step, lane: $0, in: plan) }
          }
          #expect(consumed == order.clips.map { Int($0) })
          #expect(consumed.sorted() == Array(0..<count))
        }
      }
    }
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
