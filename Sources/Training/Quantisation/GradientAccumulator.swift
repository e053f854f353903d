// Where a worker's lanes add their quantised gradients. Integer addition is associative, so the order of the lanes does
// not matter; the threads need only exclude one another.
import CKernels
import Ring
import Shared
import Synchronization

/// The partial sum of one worker for one attempt of a step. Lane threads share it.
public final class GradientAccumulator: Sendable {
  /// Identifies one attempt of a step.
  public struct Attempt: Sendable {
    public let seed: UInt64
    public let step: UInt64
    /// One exponent per tensor.
    public let exponents: [Int32]

    public init(seed: UInt64, step: UInt64, exponents: [Int32]) {
      self.seed = seed
      self.step = step
      self.exponents = exponents
    }
  }

  private struct Findings {
    var exponent: Int32?
    var nonFiniteLanes: [UInt32] = []
    /// The sums still hold an earlier attempt. The first lane overwrites them, so nobody has to clear them.
    var isStale = false
  }

  /// A tensor's range in the gradient vector, and the lock that guards its sums.
  private final class Slot: Sendable {
    let range: Range<Int>
    let findings = Mutex(Findings())

    init(_ range: Range<Int>) { self.range = range }
  }

  /// Values that one thread quantises at a time. Sums of a larger tensor have left the caches by the time they are
  /// read.
  private static let piece = 1 << 16
  private static let large = 1 << 19

  /// The sums so far; complete once every lane has added every tensor.
  public let partial: IntegerVectors
  /// Lanes of a step (V).
  public let laneCount: Int
  private let slots: [Slot]
  private let buckets: BucketTracker
  private let statisticsLock = Mutex<[UInt32]>([])

  /// - Parameters:
  ///   - tensorCounts: elements of each tensor, in checkpoint order.
  ///   - statisticCount: fixed-point statistics.
  ///   - bucketValues: as in `RingSettings`.
  ///   - shared: whether other processes may read the sums.
  public init(
    tensorCounts: [Int], statisticCount: Int, laneCount: Int, bucketValues: Int = RingSettings().bucketValues,
    shared: Bool = false
  ) {
    var slots: [Slot] = []
    var end = 0
    for count in tensorCounts {
      slots.append(Slot(end..<end + count))
      end += count
    }
    self.slots = slots
    buckets = BucketTracker(tensors: slots.map(\.range), bucketValues: bucketValues)
    self.laneCount = laneCount
    partial = IntegerVectors(gradientCount: end, statisticCount: statisticCount, shared: shared)
  }

  /// A tensor's elements in `partial.gradients`.
  public func range(tensor: Int) -> Range<Int> { slots[tensor].range }

  /// Starts another attempt. No lane may be running. A tensor's old sums stay until a lane overwrites them, or until no
  /// lane is expected.
  public func reset() {
    buckets.reset()
    for slot in slots { slot.findings.withLock { $0 = Findings(isStale: true) } }
    partial.statistics.zero()
    statisticsLock.withLock { $0 = [] }
  }

  /// Sets how many lanes add to the present attempt, including those that already have.
  public func expect(lanes: Int) {
    if lanes == 0 {
      for slot in slots {
        slot.findings.withLock { findings in
          guard findings.isStale else { return }
          unsafe (partial.gradients.base + slot.range.lowerBound).update(repeating: 0, count: slot.range.count)
          findings.isStale = false
        }
      }
    }
    buckets.expect(lanes: lanes)
  }

  /// The buckets that were completed since the last call: all expected lanes have added all of their tensors.
  public func takeCompleteBuckets() -> [Int] { buckets.takeReady() }

  /// Quantises a lane's gradient of a tensor and adds it: `q = ⌊g / 2^exponent + u⌋`, u uniform in [0, 1), keyed by
  /// (seed, step, lane, tensor, element). A repeated attempt draws the same u. Elements that are not finite or beyond
  /// the overflow limit add nothing, and are reported by `nonFinite` and `raised`.
  /// - Parameters:
  ///   - gradient: the elements in checkpoint order.
  ///   - sharing: a parallel loop: calls its second argument with each number below the first, on any threads.
  /// - Returns: whether this completed a bucket.
  @discardableResult
  public func add(
    tensor: Int, lane: Int, gradient: UnsafeBufferPointer<Float>, in attempt: Attempt,
    sharing: (Int, (Int) -> Void) -> Void = { pieces, body in for piece in 0..<pieces { body(piece) } }
  ) -> Bool {
    let slot = slots[tensor]
    precondition(
      gradient.count == slot.range.count, "tensor \(tensor): \(gradient.count) of \(slot.range.count) values")
    precondition(lane >= 0 && lane < laneCount, "lane \(lane) of \(laneCount)")
    guard let source = gradient.baseAddress, !gradient.isEmpty else { return buckets.added(tensor) }
    let exponent = attempt.exponents[tensor]
    let limit = GradientScale.overflowLimit(lanes: laneCount)
    // The counter has 32 bits for the step; the higher bits go into the key.
    let key = Philox.key(seed: attempt.seed, .quantisation) &+ (attempt.step >> 32) &* 0x9E37_79B9_7F4A_7C15
    let quantiser = tamring_ring_quantiser(
      inverse_scale: GradientScale.power(-Int(exponent)), limit: Double(limit), key: key, tensor: UInt32(tensor),
      lane: UInt32(lane), step: UInt32(truncatingIfNeeded: attempt.step), first: 0,
      past_caches: gradient.count >= Self.large)
    slot.findings.withLock { findings in
      let largestBits = Atomic<UInt32>(0)
      let (adds, sums) = unsafe (!findings.isStale, partial.gradients.base + slot.range.lowerBound)
      sharing((gradient.count + Self.piece - 1) / Self.piece) { piece in
        let first = piece * Self.piece
        var part = quantiser
        part.first = UInt64(first)
        let bits = unsafe tamring_ring_quantise(
          source + first, min(Self.piece, gradient.count - first), &part, adds, sums + first)
        largestBits.max(bits, ordering: .relaxed)
      }
      findings.isStale = false
      let largest = Float(bitPattern: largestBits.load(ordering: .relaxed))
      if !largest.isFinite {
        findings.nonFiniteLanes.append(UInt32(lane))
      } else if Double(largest) * quantiser.inverse_scale > quantiser.limit {
        let needed = GradientScale.sufficientExponent(largest: largest, limit: limit)
        findings.exponent = max(findings.exponent ?? needed, needed)
      }
    }
    return buckets.added(tensor)
  }

  /// Adds a gradient that lies in a storage.
  public func add(tensor: Int, lane: Int, gradient: FloatStorage, at offset: Int = 0, in attempt: Attempt) {
    let count = slots[tensor].range.count
    precondition(offset >= 0 && offset <= gradient.count - count, "offset \(offset) of \(gradient.count)")
    unsafe add(
      tensor: tensor, lane: lane, gradient: UnsafeBufferPointer(start: gradient.base + offset, count: count),
      in: attempt)
  }

  /// Adds a lane's fixed-point statistics from index `offset` on. A nil (see `FixedPoint.encode`) adds nothing and is
  /// reported as not finite.
  public func addStatistics(_ values: [Int64?], at offset: Int, lane: Int) {
    precondition(offset >= 0 && offset + values.count <= partial.statistics.count, "statistics from \(offset)")
    statisticsLock.withLock { lanes in
      for (i, value) in values.enumerated() {
        guard let value else {
          if lanes.last != UInt32(lane) { lanes.append(UInt32(lane)) }
          continue
        }
        partial.statistics[offset + i] &+= value
      }
    }
  }

  /// The smallest sufficient exponents of the tensors that overflowed, by tensor.
  public var raised: [RaisedExponent] {
    slots.enumerated().compactMap { tensor, slot in
      slot.findings.withLock { $0.exponent }.map { RaisedExponent(tensor: UInt32(tensor), exponent: $0) }
    }
  }

  /// The tensors and lanes that had values that are not finite.
  public var nonFinite: [NonFiniteGradient] {
    var found: [NonFiniteGradient] = []
    for (tensor, slot) in slots.enumerated() {
      let lanes = slot.findings.withLock { $0.nonFiniteLanes }
      found += lanes.sorted().map { NonFiniteGradient(tensor: UInt32(tensor), lane: $0) }
    }
    let lanes = Set(statisticsLock.withLock { $0 })
    return found + lanes.sorted().map { NonFiniteGradient(tensor: NonFiniteGradient.statistics, lane: $0) }
  }
}
