// Which of the validation clips are evaluated, where not all are, and by which training clips batch norms are measured.
import Shared

/// Positions in the validation index, ascending: `wanted` of `count`, a pure function of the seed; all where `wanted`
/// is 0 or no fewer than there are. So every validation of a run sees the same clips.
public func validationSample(of count: Int, wanted: Int, seed: UInt64) -> [Int] {
  guard wanted > 0, wanted < count else { return Array(0..<max(0, count)) }
  var random = Philox(seed: seed, .validationSample)
  return random.permutation(count).prefix(wanted).sorted()
}

/// Groups of up to `size` positions in the training index, `wanted` of `count` in all: a pure function of the seed. In
/// a random order, as the classes of a group's clips decide its statistics.
public func measuredGroups(of count: Int, wanted: Int, size: Int, seed: UInt64) -> [[Int]] {
  guard wanted > 0, count > 0 else { return [] }
  var random = Philox(seed: seed, .measuredClips)
  let clips = random.permutation(count).prefix(wanted)
  return stride(from: 0, to: clips.count, by: size).map { Array(clips[$0..<min($0 + size, clips.count)]) }
}
