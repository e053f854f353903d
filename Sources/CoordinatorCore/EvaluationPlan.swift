// Which states are evaluated while training goes on, what that came to, and what follows from it.
import Shared

/// The states before these steps are evaluated, each once.
package struct EvaluationPlan {
  /// What the results decide about the training that follows, besides which model is the best.
  package struct Rules: Equatable, Sendable {
    /// Training ends after so many validations in a row without a better model; 0 for never.
    package var stopAfter = 0
    /// The learning rate is reduced after more than so many; nil where it does not follow the validations.
    package var patience: Int?

    package init() {}
  }

  private let rules: Rules
  private let points: Set<UInt64>
  private let due: [UInt64]
  private(set) package var history: ValidationHistory
  /// Results of states that were rolled back. Training mostly comes to the same states again.
  private var rolledBack: [UInt64: ValidationFigures] = [:]
  /// Of the states that were passed without being evaluated: those of which there is a checkpoint.
  private(set) var stored: Set<UInt64>
  /// The best model of which there is a checkpoint.
  private(set) package var best: (step: UInt64, figures: ValidationFigures)?

  /// - Parameters:
  ///   - steps: those whose state is wanted.
  ///   - done: the results that the journal has.
  ///   - rolledBack: those of states that no longer count.
  ///   - best: the step of the best model that is kept.
  ///   - stored: the steps of the checkpoints that are there.
  package init(
    _ steps: Set<UInt64> = [], _ rules: Rules = Rules(), done: ValidationHistory = ValidationHistory(),
    rolledBack: [UInt64: ValidationFigures] = [:], best: UInt64? = nil, stored: Set<UInt64> = []
  ) {
    points = steps
    due = steps.sorted()
    self.rules = rules
    history = done
    self.rolledBack = rolledBack
    self.stored = stored.filter { steps.contains($0) && done[$0] == nil }
    self.best = best.flatMap { step in done[step].map { (step, $0) } }
  }

  func isPlanned(_ step: UInt64) -> Bool { points.contains(step) }

  func isDone(_ step: UInt64) -> Bool { history[step] != nil }

  func isDue(_ step: UInt64) -> Bool { isPlanned(step) && !isDone(step) }

  /// The next step after `step` whose state is wanted.
  func next(after step: UInt64, below end: UInt64) -> UInt64? {
    due.first { $0 > step && !isDone($0) }.flatMap { $0 < end ? $0 : nil }
  }

  mutating func finished(_ step: UInt64, _ figures: ValidationFigures) {
    stored.remove(step)
    history.add(step, figures)
    consider(step, figures)
  }

  private mutating func consider(_ step: UInt64, _ figures: ValidationFigures) {
    if figures.clips > 0, best.map({ figures.isBetter(than: $0.figures) }) ?? true { best = (step, figures) }
  }

  /// The steps from `step` on are computed again, perhaps to other states.
  mutating func rolledBack(to step: UInt64) {
    stored = stored.filter { $0 <= step }
    rolledBack.merge(history.remove(after: step)) { $1 }
    if let kept = best, kept.step > step { best = history.best }
  }

  // MARK: States that were passed while no coordinator was heard

  /// Those before `step` that wait to be evaluated, with or without a checkpoint.
  func passed(before step: UInt64) -> [UInt64] { due.filter { $0 < step && !isDone($0) } }

  /// The first state before `step` that can be evaluated from its checkpoint.
  func ready(before step: UInt64) -> UInt64? { passed(before: step).first { stored.contains($0) } }

  /// Whether the state before `step` is to be evaluated, and there is no checkpoint of it.
  func lacks(_ step: UInt64) -> Bool { isDue(step) && !stored.contains(step) }

  mutating func wroteCheckpoint(_ step: UInt64) {
    if isDue(step) { stored.insert(step) }
    // After a restart the best model may be one whose checkpoint had not been written then.
    if let figures = history[step] { consider(step, figures) }
  }

  mutating func lostCheckpoint(_ step: UInt64) { stored.remove(step) }

  /// The result of just this state, if it was evaluated before it was rolled back.
  func known(before step: UInt64, _ state: Digest128?) -> ValidationFigures? {
    guard let known = rolledBack[step], let state, known.state == state else { return nil }
    return known
  }

  /// Whether training ends before `step`, since the model has not become better for too long.
  package func endsTraining(at step: UInt64) -> Bool {
    rules.stopAfter > 0 && isDone(step) && history.withoutBetter(upTo: step, where: isPlanned) >= rules.stopAfter
  }

  /// How often the learning rate of step `step` has been reduced; nil where it does not follow the validations.
  func reductions(at step: UInt64) -> Int? {
    rules.patience.map { history.reductions(at: step, patience: $0, where: isPlanned) }
  }

  /// Whether training must know a result before it goes on.
  var decides: Bool { rules != Rules() }
}
