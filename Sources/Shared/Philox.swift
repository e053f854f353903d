// The counter-based random numbers that everything draws from; nothing here keeps hidden state.
import CKernels

/// What a random draw is for. Part of the key, so that two uses never see the same numbers.
public enum RandomPurpose: UInt32, Sendable {
  case initialValues = 1
  case epochOrder = 2
  case frameSampling = 3
  case augmentation = 4
  case dropout = 5
  case quantisation = 6
  case frameShuffle = 7
  case demoData = 8
  case selfTest = 9
  case clipMixing = 20
  case pixelChanges = 21
  case balancedDraws = 22
  case validationSample = 32
  case measuredClips = 33
}

/// A stream of random numbers that is a pure function of (seed, purpose, a, b).
///
/// **Source:** Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011 (Philox 4x32-10).
public struct Philox: RandomNumberGenerator, Sendable {
  private let key: UInt64
  private let a: UInt32
  private let b: UInt32
  private var index: UInt64 = 0
  private var block = tamring_philox_block()
  private var unused = 0

  /// - Parameters:
  ///   - a: first coordinate, e.g. the epoch.
  ///   - b: second coordinate, e.g. the clip.
  public init(seed: UInt64, _ purpose: RandomPurpose, _ a: UInt32 = 0, _ b: UInt32 = 0) {
    key = Philox.key(seed: seed, purpose)
    self.a = a
    self.b = b
  }

  /// The 64-bit key of `purpose` under `seed`.
  public static func key(seed: UInt64, _ purpose: RandomPurpose) -> UInt64 {
    var counter = tamring_philox_block()
    counter.word.0 = purpose.rawValue
    let block = tamring_philox(counter, seed)
    return UInt64(block.word.0) | UInt64(block.word.1) << 32
  }

  public mutating func nextWord() -> UInt32 {
    if unused == 0 {
      var counter = tamring_philox_block()
      counter.word = (UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), a, b)
      block = tamring_philox(counter, key)
      index += 1
      unused = 4
    }
    defer { unused -= 1 }
    switch unused {
    case 4: return block.word.0
    case 3: return block.word.1
    case 2: return block.word.2
    default: return block.word.3
    }
  }

  public mutating func next() -> UInt64 {
    let low = UInt64(nextWord())
    return low | UInt64(nextWord()) << 32
  }

  /// Uniform in [0, 1), a multiple of 2^-32.
  public mutating func unit() -> Double { Double(nextWord()) * 0x1p-32 }

  /// Uniform in 0..<bound, by Lemire's unbiased method.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0 && bound <= UInt32.max, "bound \(bound) is outside 1...2^32-1")
    let range = UInt32(bound)
    var product = UInt64(nextWord()) * UInt64(range)
    if UInt32(truncatingIfNeeded: product) < range {
      let threshold = (0 &- range) % range
      while UInt32(truncatingIfNeeded: product) < threshold { product = UInt64(nextWord()) * UInt64(range) }
    }
    return Int(product >> 32)
  }

  /// A permutation of 0..<count (Fisher-Yates).
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, below(i + 1)) }
    return order
  }
}
