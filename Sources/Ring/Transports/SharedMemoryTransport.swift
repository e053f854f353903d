// The shared-memory transport: reads the left neighbour's partials and sums in place if both run on one machine.
import Foundation
import Shared

/// The layout of a segment: gradients, then statistics. Sizes are in bytes.
struct SegmentLayout {
  let statisticsAt: Int
  let bytes: Int

  init(gradientCount: Int, statisticCount: Int) {
    statisticsAt = (MemoryLayout<Int32>.size * gradientCount + 63) & ~63
    bytes = statisticsAt + MemoryLayout<Int64>.size * statisticCount
  }
}

/// The left neighbour's partials and sums, mapped.
///
/// The neighbour overwrites them only when it has all ballots of an attempt, so that everybody has read them, or when
/// it aborts its ring; then it first stores another generation tag in both segments.
struct SharedMemoryTransport {
  /// The two segments that a position offers to its right neighbour.
  struct Offer: Hashable {
    let partials: MemorySegment.Name
    let sums: MemorySegment.Name

    /// - Returns: nil if other processes cannot read the vectors.
    init?(_ partials: IntegerVectors, _ sums: IntegerVectors) {
      guard let one = partials.segment, let other = sums.segment else { return nil }
      (self.partials, self.sums) = (one.name, other.name)
    }

    init?(decoding bytes: Data) {
      guard bytes.count == 2 * Self.nameBytes else { return nil }
      partials = Self.name(bytes.prefix(Self.nameBytes))
      sums = Self.name(bytes.suffix(Self.nameBytes))
    }

    /// Door, bytes and nonce (8 bytes each) of the partials and of the sums; little-endian.
    var encoded: [UInt8] {
      [partials, sums].flatMap { name in
        unsafe withUnsafeBytes(of: (name.door.littleEndian, name.bytes.littleEndian, name.nonce.littleEndian)) {
          unsafe Array($0)
        }
      }
    }

    private static let nameBytes = 24

    private static func name(_ bytes: Data) -> MemorySegment.Name {
      func get(_ offset: Int) -> UInt64 {
        unsafe bytes.withUnsafeBytes {
          unsafe UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
      }
      return MemorySegment.Name(door: get(0), bytes: get(8), nonce: get(16))
    }
  }

  private let partials: MemorySegment
  private let sums: MemorySegment
  private let layout: SegmentLayout

  /// - Returns: nil if the neighbour's memory cannot be mapped here.
  init?(_ offer: Offer, plan: RingPlan) {
    layout = SegmentLayout(
      gradientCount: plan.gradientCount, statisticCount: plan.buckets[plan.statisticsBucket].count)
    guard offer.partials.bytes == layout.bytes, offer.sums.bytes == layout.bytes,
      let partials = MemorySegment.open(offer.partials), let sums = MemorySegment.open(offer.sums)
    else { return nil }
    (self.partials, self.sums) = (partials, sums)
  }

  /// The values that the neighbour would send at a hop: from its partials at the first hop, else from its sums.
  func bytes<Value: ReducibleInteger>(of range: Range<Int>, as type: Value.Type, hop: Int) -> UnsafeRawBufferPointer {
    let size = MemoryLayout<Value>.size
    let start = type == Int64.self ? layout.statisticsAt : 0
    return unsafe (hop == 0 ? partials : sums).bytes(start + size * range.lowerBound..<start + size * range.upperBound)
  }

  /// Whether everything read so far belongs to this generation.
  func isOf(_ generation: UInt32) -> Bool { partials.word == generation && sums.word == generation }
}
