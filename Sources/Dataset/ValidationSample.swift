// Which of the validation clips are evaluated, where not all are.
import Shared

/// Positions in the validation index, ascending: `wanted` of `count`, a pure function of the seed; all where `wanted` is
/// 0 or no fewer than there are. So every validation of a run sees the same clips.
public func validationSample(of count: Int, wanted: Int, seed: UInt64) -> [Int] {
  guard wanted > 0, wanted < count else { return Array(0..<max(0, count)) }
  var random = Philox(seed: seed, .validationSample)
  return random.permutation(count).prefix(wanted).sorted()
}
