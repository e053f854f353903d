import Shared
import Testing

@Suite struct StepPlanTests {
  private let one = ClipShape(frames: 4, size: 32)
  private let other = ClipShape(frames: 2, size: 24)

  /// Two epochs of a cycle of 6 and 2 clips a lane, then epochs of 1 clip a lane.
  private func staged(_ clips: Int, lanes: Int) -> StepPlan {
    StepPlan(
      clips: clips, lanes: lanes,
      stages: [
        StepPlan.Stage(
          epochs: 2, cycle: [StepPlan.Grid(other, clipsPerLane: 6), StepPlan.Grid(one, clipsPerLane: 2)], rateFactor: 6),
        StepPlan.Stage(epochs: 1, cycle: [StepPlan.Grid(one, clipsPerLane: 1)]),
      ])
  }

  @Test("in every epoch of every stage, the lanes of the steps take each place once, in order")
  func onceAnEpoch() {
    for clips in [1, 2, 5, 7, 8, 16, 17, 31, 97] {
      for lanes in [1, 2, 3, 5] {
        for plan in [
          staged(clips, lanes: lanes), StepPlan(clips: clips, lanes: lanes, clipsPerLane: 3),
        ] {
          var step = 0
          for epoch in 0..<5 {
            #expect(plan.firstStep(ofEpoch: epoch) == step)
            var places: [Int] = []
            for number in 0..<plan.steps(inEpoch: epoch) {
              #expect(plan.epoch(of: step) == epoch && plan.stepInEpoch(step) == number)
              let taken = (0..<lanes).map { plan.positions(step: step, lane: $0) }
              #expect(taken.map(\.count).reduce(0, +) == plan.clips(inStep: step) && plan.clips(inStep: step) > 0)
              #expect(taken.allSatisfy { $0.count <= plan.grid(of: step).clipsPerLane })
              let isLast = number == plan.steps(inEpoch: epoch) - 1
              #expect(plan.endsEpoch(step) == isLast)
              if !isLast { #expect(plan.clips(inStep: step) == plan.fullClips(of: step)) }
              places += taken.joined()
              for lane in taken where !lane.isEmpty {
                #expect(plan.laneSizes[plan.grid(of: step)]?.contains(lane.count) == true)
              }
              step += 1
              #expect(plan.epochs(ofSteps: step) == epoch + 1)
            }
            #expect(places == Array(0..<clips))
          }
        }
      }
    }
  }

  @Test("a cycle goes round within an epoch, and begins anew with the next; the last stage has no end")
  func cycle() {
    let plan = staged(37, lanes: 2)
    #expect((0..<5).map { plan.steps(inEpoch: $0) } == [5, 5, 19, 19, 19])
    #expect((0..<11).map { plan.clips(inStep: $0) } == [12, 4, 12, 4, 5, 12, 4, 12, 4, 5, 2])
    #expect([0, 1, 9, 10, 500].map { plan.grid(of: $0).shape } == [other, one, other, one, one])
    #expect([0, 9, 10].map { plan.rateFactor(of: $0) } == [6, 6, 1])
    #expect(plan.steps(inEpochs: 0.5) == 2.5 && plan.steps(inEpochs: 2.5) == 19.5)
    #expect(plan.lastStepsPerEpoch == 19 && !plan.isUniform)
  }

  @Test("the lanes of a short last step fill in order")
  func shortStep() {
    let plan = StepPlan(clips: 21, lanes: 4, clipsPerLane: 2)
    #expect(plan.steps(inEpoch: 0) == 3 && plan.isUniform)
    #expect((0..<4).map { plan.positions(step: 2, lane: $0) } == [16..<18, 18..<20, 20..<21, 21..<21])
    #expect(plan.clips(inStep: 2) == 5 && plan.laneSizes.values.first == [1, 2])
  }

  @Test("numbers that a file may hold trap nowhere")
  func large() {
    let plan = staged(.init(Int32.max), lanes: 1)
    #expect(plan.firstStep(ofEpoch: .max) == .max)
    for step in [UInt64.max, 1 << 53] { #expect(plan.epoch(of: step) > 0 && plan.clips(inStep: step) == 1) }
    let empty = StepPlan(clips: 0, lanes: 1, clipsPerLane: 4)
    #expect(empty.epoch(of: 3) == 3 && empty.clips(inStep: 3) == 0 && empty.epochs(ofSteps: 0) == 0)
  }
}
