// What is done about sums or states that cannot be believed, once at each step.

struct CorruptionRecovery {
  /// The step at which something was last done.
  private var step: UInt64?
  /// The generation being made starts from the checkpoint, whatever states there are.
  private(set) var restores = false
  /// The generation being made uses no sums that were kept.
  private(set) var recomputes = false

  /// All return to the newest checkpoint, which was verified.
  /// - Returns: false where something was already tried at this step.
  mutating func restore(at committed: UInt64) -> Bool {
    guard step != committed else { return false }
    (step, restores) = (committed, true)
    return true
  }

  /// The step is computed again from nothing.
  /// - Returns: false where something was already tried at this step.
  mutating func recompute(at committed: UInt64) -> Bool {
    guard step != committed else { return false }
    (step, recomputes) = (committed, true)
    return true
  }

  /// The generation that does so begins.
  mutating func begin() { (restores, recomputes) = (false, false) }
}
