// Which states are evaluated while training goes on, and which of them were.
import Shared

/// The states before these steps are evaluated, each once.
package struct EvaluationPlan {
  private var due: [UInt64]
  private var done: Set<UInt64>

  /// - Parameters:
  ///   - steps: those whose state is wanted.
  ///   - done: those whose result the journal has.
  package init(_ steps: Set<UInt64> = [], done: Set<UInt64> = []) {
    due = steps.sorted()
    self.done = done
  }

  func isDue(_ step: UInt64) -> Bool { !done.contains(step) && due.contains(step) }

  /// The next step after `step` whose state is wanted.
  func next(after step: UInt64) -> UInt64? { due.first { $0 > step && !done.contains($0) } }

  mutating func finished(_ step: UInt64) { done.insert(step) }

  /// The steps from `step` on are computed again, perhaps to other states.
  mutating func rolledBack(to step: UInt64) { done = done.filter { $0 <= step } }
}
