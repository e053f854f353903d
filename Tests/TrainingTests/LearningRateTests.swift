// Schedules against values worked out by hand.
import Foundation
import Recipes
import Shared
import Testing

@testable import Training

extension LearningRate {
  /// The rate where all epochs have as many steps.
  fileprivate func rate(epoch: Int, stepInEpoch: Int, stepsPerEpoch: Int, reductions: Int = 0) -> Float {
    rate(
      step: epoch * stepsPerEpoch + stepInEpoch, in: StepPlan(stepsPerEpoch: stepsPerEpoch), reductions: reductions)
  }
}

@Suite struct LearningRateTests {
  @Test("cosine falls from the full rate to zero by epochs, after a warm-up by steps")
  func cosine() {
    var schedule = ScheduleRecipe()
    schedule.epochs = 10
    let plain = LearningRate(schedule, base: 0.4)
    #expect(plain.rate(epoch: 0, stepInEpoch: 0, stepsPerEpoch: 7) == 0.4)
    #expect(plain.rate(epoch: 5, stepInEpoch: 3, stepsPerEpoch: 7) == 0.2)
    #expect(
      plain.rate(epoch: 5, stepInEpoch: 0, stepsPerEpoch: 7) == plain.rate(epoch: 5, stepInEpoch: 6, stepsPerEpoch: 7))
    #expect(plain.rate(epoch: 10, stepInEpoch: 0, stepsPerEpoch: 7) == 0)
    for epoch in 0..<10 {
      let expected = 0.2 * (1 + cos(Double.pi * Double(epoch) / 10))
      #expect(abs(Double(plain.rate(epoch: epoch, stepInEpoch: 0, stepsPerEpoch: 7)) - expected) < 1e-7)
    }
    schedule.warmupEpochs = 0.5
    let warm = LearningRate(schedule, base: 0.4)
    let rates = (0..<8).map { warm.rate(epoch: 0, stepInEpoch: $0, stepsPerEpoch: 8) }
    #expect(
      rates
        == [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4].map { Float($0) }.enumerated().map {
          $0.offset == 2 ? rates[2] : $0.element
        })
    #expect(abs(rates[2] - 0.3) < 1e-7)
  }

  @Test("cosine-step follows the cosine step by step, also from a revision on")
  func cosineStep() {
    var schedule = ScheduleRecipe()
    (schedule.kind, schedule.epochs) = (.cosineStep, 10)
    let rate = LearningRate(schedule, base: 0.4)
    for step in 0..<80 {
      // As `torch.optim.lr_scheduler.CosineAnnealingLR` with T_max 80, stepped once a step.
      let expected = 0.2 * (1 + cos(Double.pi * Double(step) / 80))
      let found = rate.rate(epoch: step / 8, stepInEpoch: step % 8, stepsPerEpoch: 8)
      #expect(abs(Double(found) - expected) < 1e-7)
    }
    let longer = LearningRate(schedule, base: 0.4, revisions: [EpochRevision(step: 40, old: 10, new: 15)])
    for step in 40..<120 {
      let expected = 0.1 * (1 + cos(Double.pi * Double(step - 40) / 80))
      let found = longer.rate(epoch: step / 8, stepInEpoch: step % 8, stepsPerEpoch: 8)
      #expect(abs(Double(found) - expected) < 1e-7)
    }
  }

  @Test("step and multi-step reduce at their epochs")
  func steps() {
    var schedule = ScheduleRecipe()
    schedule.kind = .step
    schedule.stepEpochs = 3
    schedule.gamma = 0.5
    func rates(_ schedule: ScheduleRecipe) -> [Float] {
      (0..<7).map { LearningRate(schedule, base: 8).rate(epoch: $0, stepInEpoch: 1, stepsPerEpoch: 2) }
    }
    #expect(rates(schedule) == [8, 8, 8, 4, 4, 4, 2])
    schedule.kind = .multiStep
    schedule.milestones = [1, 4]
    #expect(rates(schedule) == [8, 4, 4, 4, 2, 2, 2])
  }

  @Test("plateau reduces after more than `patience` epochs without a better loss")
  func plateau() {
    var state = PlateauState()
    let losses = [3.0, 2.0, 2.0, 1.99999, 2.5, 1.0, 1.0, .nan, 1.0, 1.0]
    let reductions = losses.map { loss in
      state.endEpoch(loss: loss, patience: 2)
      return state.reductions
    }
    #expect(reductions == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    var schedule = ScheduleRecipe()
    schedule.kind = .plateau
    schedule.gamma = 0.25
    let rate = LearningRate(schedule, base: 1)
    #expect(rate.rate(epoch: 9, stepInEpoch: 0, stepsPerEpoch: 1, reductions: 2) == 0.0625)
  }

  @Test("with other epochs from a step on, a cosine goes from its rate there to zero at the new end")
  func revisedCosine() {
    var schedule = ScheduleRecipe()
    schedule.epochs = 20
    func rates(_ revisions: [EpochRevision], _ steps: Range<Int>) -> [Float] {
      let rate = LearningRate(schedule, base: 0.4, revisions: revisions)
      return steps.map { rate.rate(epoch: $0 / 4, stepInEpoch: $0 % 4, stepsPerEpoch: 4) }
    }
    func plain(_ epochs: Int, _ steps: Range<Int>) -> [Float] {
      schedule.epochs = epochs
      defer { schedule.epochs = 20 }
      return rates([], steps)
    }
    // In the middle of an epoch: that epoch keeps its rate; 18 to 80 are left.
    let middle = [EpochRevision(step: 18, old: 10, new: 20)]
    #expect(rates(middle, 0..<20) == plain(10, 0..<20))
    let found = 0.2 * (1 + cos(Double.pi * 4 / 10))
    for step in 20..<81 {
      let expected = found * (1 + cos(Double.pi * Double(step / 4 * 4 - 18) / 62)) / 2
      #expect(abs(Double(rates(middle, step..<step + 1)[0]) - expected) < 1e-7)
    }
    #expect(rates(middle, 80..<81) == [0])
    // When it was over: from the rate of its last step.
    let over = [EpochRevision(step: 40, old: 10, new: 20)]
    #expect(rates(over, 40..<44) == plain(10, 36..<40))
    #expect(rates(over, 44..<45)[0] < plain(10, 39..<40)[0] && rates(over, 76..<77)[0] > 0)
    // Twice at one step is once, and of more than one the newest counts.
    #expect(
      rates([EpochRevision(step: 40, old: 10, new: 15), EpochRevision(step: 40, old: 15, new: 20)], 0..<80)
        == rates(over, 0..<80))
    let twice = middle + [EpochRevision(step: 40, old: 20, new: 11)]
    #expect(rates(twice, 0..<40) == rates(middle, 0..<40) && rates(twice, 40..<41) == rates(middle, 40..<41))
    #expect(rates(twice, 44..<45) == [0])
    // The other kinds do not ask how many epochs there are, and warm-up goes on.
    schedule.kind = .step
    schedule.warmupEpochs = 6
    #expect(rates(middle, 0..<40) == rates([], 0..<40))
    schedule.kind = .cosine
    #expect(rates(middle, 18..<19) == plain(10, 18..<19))
  }

  @Test("stages multiply the rate; a cosine and the warm-up go by the steps that there are")
  func stages() {
    let grid = StepPlan.Grid(ClipShape(frames: 4, size: 32), clipsPerLane: 4)
    let small = StepPlan.Grid(ClipShape(frames: 2, size: 32), clipsPerLane: 8)
    // Two epochs of 5 steps, then two of 10.
    let plan = StepPlan(
      clips: 40, lanes: 1,
      stages: [
        StepPlan.Stage(epochs: 2, cycle: [small], rateFactor: 2), StepPlan.Stage(epochs: 2, cycle: [grid]),
      ])
    var schedule = ScheduleRecipe()
    (schedule.kind, schedule.epochs, schedule.warmupEpochs) = (.cosineStep, 4, 0)
    let rate = LearningRate(schedule, base: 8)
    #expect(rate.rate(step: 0, in: plan) == 16)
    for step in [3, 9, 10, 29] {
      let expected = 8 * (1 + cos(Double.pi * Double(step) / 30)) / 2 * (step < 10 ? 2 : 1)
      #expect(abs(Double(rate.rate(step: step, in: plan)) - expected) < 1e-5)
    }
    schedule.kind = .cosine
    let even = LearningRate(schedule, base: 8)
    #expect(even.rate(step: 20, in: plan) == even.rate(step: 29, in: plan))
    #expect(abs(Double(even.rate(step: 29, in: plan)) - 8 * (1 + cos(Double.pi * 2 / 3)) / 2) < 1e-5)
    (schedule.kind, schedule.warmupEpochs, schedule.milestones) = (.multiStep, 2.5, [3])
    let warm = LearningRate(schedule, base: 8)
    #expect(
      [0, 9, 10, 14, 19, 20].map { warm.rate(step: $0, in: plan) } == [
        Float(16.0 / 15), Float(160.0 / 15), Float(88.0 / 15), 8, 8, Float(0.8),
      ])
  }
}
