import Shared
import Testing
import Wire

@testable import CoordinatorCore

@Suite struct ValidationHistoryTests {
  private func figures(_ top1: Int, _ loss: Int64?, clips: Int = 10) -> ValidationFigures {
    ValidationFigures(clips: clips, top1: top1, top5: clips, loss: loss, state: nil)
  }

  private func history(_ figures: [ValidationFigures]) -> ValidationHistory {
    ValidationHistory(Dictionary(uniqueKeysWithValues: figures.enumerated().map { (UInt64(10 * $0 + 10), $1) }))
  }

  @Test("a better model has the higher top-1 accuracy, of equal ones the lower mean loss; counts of clips may differ")
  func better() {
    #expect(figures(6, 90).isBetter(than: figures(5, 10)) && !figures(5, 10).isBetter(than: figures(6, 90)))
    #expect(figures(5, 9).isBetter(than: figures(5, 10)) && !figures(5, 10).isBetter(than: figures(5, 10)))
    #expect(!figures(5, nil).isBetter(than: figures(5, 10)) && !figures(5, 10).isBetter(than: figures(5, nil)))
    // 4 of 8 are as many as 5 of 10; losses of 15 over 8 clips are lower than 19 over 10.
    #expect(figures(4, 15, clips: 8).isBetter(than: figures(5, 19)))
    #expect(!figures(4, 16, clips: 8).isBetter(than: figures(5, 20)))
    #expect(
      figures(0, 0).isBetter(than: figures(0, 0, clips: 0)) && !figures(0, 0, clips: 0).isBetter(than: figures(0, 0)))
    // Nothing overflows.
    let most = figures(Int(Int32.max), .max, clips: Int(Int32.max))
    #expect(!most.isBetter(than: most) && figures(Int(Int32.max), .max - 1, clips: Int(Int32.max)).isBetter(than: most))
  }

  @Test("where the mean average precision is measured, it decides, and of equal ones the mean loss")
  func precision() {
    func figures(_ precision: Int64, top1: Int, loss: Int64) -> ValidationFigures {
      ValidationFigures(clips: 10, top1: top1, top5: 10, loss: loss, meanPrecision: precision, state: nil)
    }
    #expect(figures(8, top1: 3, loss: 9).isBetter(than: figures(7, top1: 5, loss: 1)))
    #expect(!figures(7, top1: 5, loss: 1).isBetter(than: figures(8, top1: 3, loss: 9)))
    #expect(figures(7, top1: 1, loss: 1).isBetter(than: figures(7, top1: 5, loss: 2)))
    #expect(!figures(7, top1: 5, loss: 2).isBetter(than: figures(7, top1: 5, loss: 2)))
  }

  @Test("the best of equal models is the first, and one without clips is none")
  func best() {
    #expect(history([figures(3, 5), figures(7, 4), figures(7, 4), figures(7, 5)]).best?.step == 20)
    #expect(history([figures(0, 0, clips: 0)]).best == nil && ValidationHistory().best == nil)
    #expect(history([figures(0, 0, clips: 0), figures(0, 9)]).best?.step == 20)
  }

  /// The counts are those of torch.optim.lr_scheduler.ReduceLROnPlateau(mode="max", threshold=0, patience=1) for the
  /// accuracies 3, 5, 5, 4, 5, 5, 6, 6, 5: its reductions come at the fourth, the sixth and the ninth call.
  @Test("a plateau reduces the rate after more than `patience` validations without a better model")
  func plateau() {
    let found = history([3, 5, 5, 4, 5, 5, 6, 6, 5].map { figures($0, 1) })
    let reductions = (1...9).map { found.reductions(at: UInt64(10 * $0), patience: 1) { _ in true } }
    #expect(reductions == [0, 0, 0, 1, 1, 2, 2, 2, 3])
    #expect(found.reductions(at: 39, patience: 1) { _ in true } == 0, "the fourth result is not there yet")
    #expect(found.withoutBetter(upTo: 60) { _ in true } == 4 && found.withoutBetter(upTo: 70) { _ in true } == 0)
    // What was evaluated besides, as where --steps ended a training, does not count.
    #expect(found.withoutBetter(upTo: 60) { $0 != 50 } == 3)
  }

  @Test("training ends after `stopAfter` validations without a better model; results that are rolled back come again")
  func plan() {
    var rules = EvaluationPlan.Rules()
    rules.stopAfter = 2
    var plan = EvaluationPlan([10, 20, 30, 40], rules)
    let state = Digest128(high: 1, low: 1)
    #expect(plan.isDue(10) && plan.next(after: 0, below: 99) == 10 && plan.decides && plan.reductions(at: 10) == nil)
    plan.finished(10, figures(5, 1))
    plan.finished(20, ValidationFigures(clips: 10, top1: 6, top5: 10, loss: 1, state: state))
    plan.finished(30, figures(6, 1))
    #expect(plan.best?.step == 20 && !plan.endsTraining(at: 30) && plan.next(after: 0, below: 99) == 40)
    plan.rolledBack(to: 15)
    #expect(plan.best?.step == 10 && plan.isDue(20) && plan.known(before: 20, nil) == nil)
    #expect(plan.known(before: 20, Digest128(high: 2, low: 2)) == nil && plan.known(before: 20, state)?.top1 == 6)
    for step in [20, 30] as [UInt64] { plan.finished(step, figures(5, 1)) }
    #expect(plan.endsTraining(at: 30) && !plan.endsTraining(at: 20) && !plan.endsTraining(at: 40))
  }
}
