// numpy's generator of old, for the one place where the reference implementation seeds it with a fixed number.

/// MT19937 as `numpy.random.RandomState(seed)` runs it.
///
/// **Source:** Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998; `init_genrand` of their 2002
/// version.
struct MersenneTwister {
  private static let length = 624
  private static let middle = 397
  private var state: [UInt32]
  private var next = MersenneTwister.length

  /// `numpy.random.seed(seed)`.
  init(seed: UInt32) {
    state = [seed]
    for i in 1..<UInt32(Self.length) {
      let last = state[Int(i) - 1]
      state.append(1_812_433_253 &* (last ^ last >> 30) &+ i)
    }
  }

  mutating func nextWord() -> UInt32 {
    if next == Self.length { renew() }
    var word = state[next]
    next += 1
    word ^= word >> 11
    word ^= word << 7 & 0x9D2C_5680
    word ^= word << 15 & 0xEFC6_0000
    return word ^ word >> 18
  }

  private mutating func renew() {
    for i in 0..<Self.length {
      let word = state[i] & 0x8000_0000 | state[(i + 1) % Self.length] & 0x7FFF_FFFF
      state[i] = state[(i + Self.middle) % Self.length] ^ word >> 1 ^ (word & 1 == 0 ? 0 : 0x9908_B0DF)
    }
    next = 0
  }

  /// `numpy.random.choice(bound, count)`: with replacement. A draw is a word's lowest bits, drawn again while it is too
  /// large; a bound of 1 draws nothing.
  mutating func choices(below bound: Int, count: Int) -> [Int] {
    guard bound > 1 else { return [Int](repeating: 0, count: count) }
    precondition(bound <= 1 << 31, "a bound of \(bound)")
    let largest = UInt32(bound - 1)
    let mask = UInt32.max >> largest.leadingZeroBitCount
    return (0..<count).map { _ in
      while true {
        let draw = nextWord() & mask
        if draw <= largest { return Int(draw) }
      }
    }
  }
}
