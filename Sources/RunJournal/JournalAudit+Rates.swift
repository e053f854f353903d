// Audits the recipe's revisions and each step's learning rate, which it recomputes.
import Foundation
import GRDB
import Recipes
import Shared

extension JournalAudit {
  /// Each revision of the epochs continues the one before. They determine the run's last step.
  mutating func auditRevisions(_ database: Database) throws {
    var before = epochs
    var first = 0
    let rows = try Row.fetchCursor(
      database,
      sql: """
        SELECT seq, ifnull(step, -1) AS step, ifnull(old, '') AS old, ifnull(new, '') AS new FROM revisions
        WHERE key = 'schedule.epochs' ORDER BY seq
        """)
    while let row = try rows.next() {
      let (step, old, new): (Int, String, String) = (row["step"], row["old"], row["new"])
      guard let epochs = Int(new), (1...1_000_000).contains(epochs), old == String(before), step >= first,
        step <= plan.firstStep(ofEpoch: before), step <= plan.firstStep(ofEpoch: epochs)
      else {
        report("revision \(row["seq"] as Int) (\(old) -> \(new) epochs from step \(step)) does not follow from the run")
        continue
      }
      epochRevisions.append(EpochRevision(step: step, old: before, new: epochs))
      (before, first) = (epochs, step)
    }
    lastStep = plan.firstStep(ofEpoch: before) - 1
  }

  /// Of each state that a live step led to, the first result.
  static func validations(_ database: Database) throws -> [Validation] {
    let rows = try Row.fetchAll(
      database,
      sql: """
        SELECT e.step, e.clips, e.top1, e.loss_sum, e.mean_precision FROM evaluations e
          JOIN steps s ON s.step = e.step - 1 AND s.rolled_back = 0 AND s.state_digest = e.state_digest
        WHERE e.state_digest <> '' ORDER BY e.step, e.id
        """)
    var found: [Validation] = []
    for row in rows where found.last?.step != row["step"] as Int {
      found.append(
        Validation(
          step: row["step"], clips: row["clips"], top1: row["top1"], loss: row["loss_sum"],
          meanPrecision: row["mean_precision"]))
    }
    return found
  }

  /// Compares the steps' learning rates with those of a recipe and the journal's revisions. Returns at most one line.
  ///
  /// A plateau depends on sums of losses, in units of 2^-32. A row has the mean over the step's clips, from which the
  /// sum follows exactly below 2^51. If a sum is larger, the rates after that epoch are not checked. Or it depends on
  /// the results of the validations.
  public func rateProblems(_ recipe: Recipe) -> [String] {
    var expected = ExpectedRates(recipe, epochRevisions, epochs: epochs, plan, validations)
    var wrong: [(step: Int, found: Double, expected: Double)] = []
    for row in live {
      guard let rate = expected.rate(of: row) else { break }
      // The journal has a 32-bit float, and another library's cosine may differ in the last place.
      if !(abs(row.learningRate - rate) <= 1e-6 * max(abs(rate), abs(row.learningRate))) {
        wrong.append((row.step, row.learningRate, rate))
      }
      expected.take(row)
    }
    guard let first = wrong.first else { return [] }
    func text(_ rate: Double) -> String { String(format: "%.6g", rate) }
    let more = wrong.count == 1 ? "" : ", and \(wrong.count - 1) more steps differ"
    let line =
      "step \(first.step) has the learning rate \(text(first.found)), but recipe.yaml and the revisions give "
      + "\(text(first.expected))\(more)"
    return ["\(directory)/run.db: \(line); \(Self.restore)"]
  }
}

/// The rates that a recipe gives, step after step.
private struct ExpectedRates {
  private let recipe: Recipe
  private let revisions: [EpochRevision]
  private let epochs: Int
  private let plan: StepPlan
  // For a plateau: the sums of the present epoch, nil if unknown, and the outcome of the epochs before.
  private var loss: Int64? = 0
  private var clips = 0
  private var best: Double?
  /// For a plateau of the validations: those to come, and the best until now.
  private var validations: [JournalAudit.Validation]
  private var bestModel: JournalAudit.Validation?
  private var waited = 0
  private var reductions = 0

  init(
    _ recipe: Recipe, _ revisions: [EpochRevision], epochs: Int, _ plan: StepPlan,
    _ validations: [JournalAudit.Validation]
  ) {
    let every = recipe.validation.everyEpochs
    self.validations = validations.reversed().filter {
      every > 0 && plan.stepInEpoch($0.step) == 0 && plan.epoch(of: $0.step) % every == 0
    }
    (self.recipe, self.revisions, self.epochs, self.plan) = (recipe, revisions, epochs, plan)
  }

  /// The rate of a step; nil if it can no longer be computed.
  mutating func rate(of row: JournalAudit.Step) -> Double? {
    let schedule = recipe.schedule
    let epoch = plan.epoch(of: row.step)
    var rate = recipe.optimizer.learningRate
    switch schedule.kind {
    case .cosine, .cosineStep: rate = cosine(rate, at: row.step)
    case .step: rate *= pow(schedule.gamma, Double(epoch / schedule.stepEpochs))
    case .multiStep: rate *= pow(schedule.gamma, Double(schedule.milestones.count { $0 <= epoch }))
    case .plateau where schedule.followsValidation:
      while let next = validations.last, next.step <= row.step {
        validations.removeLast()
        let isBetter = bestModel.map { Self.isBetter(next, than: $0) } ?? true
        if isBetter { bestModel = next }
        wait(isBetter: isBetter)
      }
      rate *= pow(schedule.gamma, Double(reductions))
    case .plateau:
      if loss == nil { return nil }
      rate *= pow(schedule.gamma, Double(reductions))
    }
    let warmup = plan.steps(inEpochs: schedule.warmupEpochs)
    return rate * Double(plan.rateFactor(of: row.step)) * min(1, Double(row.step &+ 1) / max(warmup, 1e-300))
  }

  private func cosine(_ base: Double, at step: Int) -> Double {
    var (rate, start, end) = (base, 0, plan.firstStep(ofEpoch: epochs))
    func fallen(_ step: Int) -> Double {
      if end <= start { return rate }
      let place = recipe.schedule.kind == .cosine ? step - plan.stepInEpoch(step) : step
      let done = max(place, start) - start
      return rate * (1 + cos(Double.pi * min(1, Double(done) / Double(end - start)))) / 2
    }
    for revision in revisions where revision.step <= step {
      rate = fallen(max(start, min(revision.step, end - 1)))
      (start, end) = (revision.step, plan.firstStep(ofEpoch: revision.new))
    }
    return fallen(step)
  }

  /// Takes in a step, which may end an epoch.
  mutating func take(_ row: JournalAudit.Step) {
    guard recipe.schedule.kind == .plateau, !recipe.schedule.followsValidation, let sum = loss else { return }
    // A skipped step leaves the state unchanged, and does not count.
    if row.state.isEmpty || row.state != row.weights, row.clips > 0 {
      let units = (row.loss * Double(row.clips) * 0x1p32).rounded()
      loss = units.magnitude < 0x1p51 ? sum &+ Int64(units) : nil
      clips &+= row.clips
    }
    guard plan.endsEpoch(row.step), let sum = loss else { return }
    if clips > 0 { endEpoch(Double(sum) * 0x1p-32 / Double(clips)) }
    (loss, clips) = (0, 0)
  }

  private mutating func endEpoch(_ mean: Double) {
    let isBetter = best.map { mean < $0 * (1 - 1e-4) } ?? true
    if isBetter { best = mean }
    wait(isBetter: isBetter)
  }

  /// A higher mean average precision, or top-1 accuracy where the former is not measured; or an equal one and a lower
  /// mean loss. The products of counts fit.
  private static func isBetter(_ a: JournalAudit.Validation, than b: JournalAudit.Validation) -> Bool {
    if a.clips == 0 || b.clips == 0 { return a.clips > 0 && b.clips == 0 }
    if let precision = a.meanPrecision, let other = b.meanPrecision {
      if precision != other { return precision > other }
    } else if a.top1 &* b.clips != b.top1 &* a.clips {
      return a.top1 &* b.clips > b.top1 &* a.clips
    }
    guard let loss = a.loss, let other = b.loss else { return false }
    let (left, right) = (loss.multipliedFullWidth(by: b.clips), other.multipliedFullWidth(by: a.clips))
    return (left.high, left.low) < (right.high, right.low)
  }

  private mutating func wait(isBetter: Bool) {
    if isBetter {
      waited = 0
    } else if waited == recipe.schedule.patience {
      (reductions, waited) = (reductions + 1, 0)
    } else {
      waited += 1
    }
  }
}
