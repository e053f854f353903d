// The learning rate as a pure function of the position in training.
import BLVNet
import Recipes
import Shared

/// The state of the plateau schedule, updated once an epoch and saved with checkpoints.
public struct PlateauState: Sendable, Hashable, Codable {
  public private(set) var best: Double?
  /// Epochs since the best one.
  public private(set) var waited = 0
  public private(set) var reductions = 0

  public init() {}

  /// Whether a file that says so can be believed: the counts are those of a training that ends.
  var isPossible: Bool { (0...1_000_000).contains(waited) && (0...1_000_000).contains(reductions) }

  /// Takes an epoch's mean training loss. After more than `patience` epochs that were not better than the best by
  /// one part in 10,000, the rate is reduced and the count of epochs restarts.
  public mutating func endEpoch(loss: Double, patience: Int) {
    if best.map({ loss < $0 * (1 - 1e-4) }) ?? !loss.isNaN {
      best = loss
      waited = 0
      return
    }
    waited += 1
    if waited > patience {
      reductions += 1
      waited = 0
    }
  }
}

/// Schedules of the learning rate.
public struct LearningRate: Sendable {
  public let schedule: ScheduleRecipe
  /// The full rate.
  public let base: Double
  /// Changes of the schedule's epochs, oldest first.
  public let revisions: [EpochRevision]

  public init(_ schedule: ScheduleRecipe, base: Double, revisions: [EpochRevision] = []) {
    self.schedule = schedule
    self.base = base
    self.revisions = revisions
  }

  /// The rate of one step. It changes from epoch to epoch, with `cosine-step` from step to step; during warm-up it
  /// rises linearly from step to step up to what the schedule gives for the epoch.
  ///
  /// **Formula:** cosine: base · (1 + cos(π · epoch / epochs)) / 2, and cosine-step the same of steps; step:
  /// base · gamma^⌊epoch / stepEpochs⌋; multi-step: base · gamma^(milestones reached); plateau:
  /// base · gamma^reductions. Warm-up multiplies by (steps done + 1) / (warm-up steps), the plan by its stage's factor.
  /// Where the epochs are changed from step S on, a cosine goes from the rate that it has at S, or had at its last step if it
  /// was over, to 0 at the new end; the other kinds do not ask for the end.
  /// - Parameters:
  ///   - step: from 0.
  ///   - plan: of the run's steps.
  ///   - reductions: of the plateau schedule.
  public func rate(step: Int, in plan: StepPlan, reductions: Int = 0) -> Float {
    precondition(step >= 0, "step \(step)")
    let epoch = plan.epoch(of: step)
    var rate = base
    switch schedule.kind {
    case .cosine, .cosineStep: rate = cosine(step, plan)
    case .step: rate *= power(epoch / max(1, schedule.stepEpochs))
    case .multiStep: rate *= power(schedule.milestones.count { $0 <= epoch })
    case .plateau: rate *= power(reductions)
    }
    let warmupSteps = plan.steps(inEpochs: schedule.warmupEpochs)
    let done = Double(step + 1)
    return Float((done < warmupSteps ? rate * (done / warmupSteps) : rate) * Double(plan.rateFactor(of: step)))
  }

  /// What the cosine gives for a step, along one stretch for each number of epochs.
  private func cosine(_ step: Int, _ plan: StepPlan) -> Double {
    /// The step whose place in the cosine counts for `step`.
    func place(_ step: Int) -> Int { schedule.kind == .cosine ? step - plan.stepInEpoch(step) : step }
    var stretch = CosineStretch(
      rate: base, start: 0, end: plan.firstStep(ofEpoch: revisions.first?.old ?? schedule.epochs))
    for revision in revisions where revision.step <= step {
      let last = max(stretch.start, min(revision.step, stretch.end - 1))
      stretch = CosineStretch(
        rate: stretch.rate(from: place(last)), start: revision.step,
        end: plan.firstStep(ofEpoch: revision.new))
    }
    return stretch.rate(from: place(step))
  }

  /// gamma^n, by multiplication, as the C library's pow may differ from machine to machine.
  private func power(_ n: Int) -> Double { (0..<n).reduce(1.0) { product, _ in product * schedule.gamma } }
}

/// A cosine from `rate` at step `start` to 0 at step `end`.
private struct CosineStretch {
  let rate: Double
  let start: Int
  let end: Int

  func rate(from step: Int) -> Double {
    let done = max(step, start) - start
    let length = max(end - start, 0)
    let part = length == 0 ? 0 : Double(min(done, length)) / Double(length)
    return rate * ((1 + PortableMath.cosPi(part)) / 2)
  }
}
