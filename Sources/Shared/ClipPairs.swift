// A digest of the clips that a step's lanes trained. Each rank computes it for its own lanes, and the parts add up.

/// Digests of (step, lane, clip), of which the sum over a step does not depend on the order or on who computed what.
///
/// A digest is two sums of 64 bits, each over one hash of every pair. `docs/journal.md` gives the formula;
/// `cluster/audit.py` computes the same.
///
/// **Source:** the mixing function is that of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
public enum ClipPairs {
  /// The digest of no clip.
  public static let none = Digest128(high: 0, low: 0)

  /// The digest of the clips that one lane trains, as positions in the training index.
  public static func digest(step: UInt64, lane: Int, clips: [Int]) -> Digest128 {
    digest(step: Int(truncatingIfNeeded: step), clips.map { (lane, $0) })
  }

  public static func digest(step: Int, _ pairs: [(lane: Int, clip: Int)]) -> Digest128 {
    var sum = none
    for pair in pairs {
      sum.high &+= hash(0x243F_6A88_85A3_08D3, step, pair.lane, pair.clip)
      sum.low &+= hash(0x1319_8A2E_0370_7344, step, pair.lane, pair.clip)
    }
    return sum
  }

  /// The digest of the clips of both.
  public static func sum(_ digests: some Sequence<Digest128>) -> Digest128 {
    digests.reduce(into: none) { sum, part in
      sum.high &+= part.high
      sum.low &+= part.low
    }
  }

  private static func hash(_ key: UInt64, _ numbers: Int...) -> UInt64 {
    numbers.reduce(key) { mix($0 ^ UInt64(bitPattern: Int64($1))) }
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
