// Partials and sums of the left neighbour, read where it has them: for neighbours on one machine.
import Foundation
import Shared

/// Where gradients and statistics lie in a segment, in bytes.
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
/// It writes them anew only when all ballots of an attempt are there, so that everybody has read them; or when its ring
/// is aborted, and then it says so in the segments' words first.
struct SharedMemoryTransport {
  /// What a position tells its right neighbour: the two segments.
  struct Offer: Hashable {
    let partials: MemorySegment.Name
    let sums: MemorySegment.Name

    /// nil where others cannot read them.
    init?(_ partials: IntegerVectors, _ sums: IntegerVectors) {
      guard let one = partials.segment, let other = sums.segment else { return nil }
      (self.partials, self.sums) = (one.name, other.name)
    }

    init?(decoding bytes: Data) {
      guard bytes.count == 2 * Self.nameBytes else { return nil }
      partials = Self.name(bytes.prefix(Self.nameBytes))
      sums = Self.name(bytes.suffix(Self.nameBytes))
    }

    /// Process and descriptor (4 bytes each), bytes and nonce (8 each), of the partials and of the sums; little-endian.
    var encoded: [UInt8] {
      [partials, sums].flatMap { name in
        unsafe withUnsafeBytes(of: (name.process.littleEndian, name.descriptor.littleEndian)) { unsafe Array($0) }
          + withUnsafeBytes(of: (name.bytes.littleEndian, name.nonce.littleEndian)) { unsafe Array($0) }
      }
    }

    private static let nameBytes = 24

    private static func name(_ bytes: Data) -> MemorySegment.Name {
      func get<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, _ offset: Int) -> Value {
        unsafe bytes.withUnsafeBytes { unsafe Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
      }
      return MemorySegment.Name(
        process: get(UInt32.self, 0), descriptor: get(UInt32.self, 4), bytes: get(UInt64.self, 8),
        nonce: get(UInt64.self, 16))
    }
  }

  private let partials: MemorySegment
  private let sums: MemorySegment
  private let layout: SegmentLayout

  /// nil where it cannot be read from here.
  init?(_ offer: Offer, plan: RingPlan) {
    layout = SegmentLayout(
      gradientCount: plan.gradientCount, statisticCount: plan.buckets[plan.statisticsBucket].count)
    guard offer.partials.bytes == layout.bytes, offer.sums.bytes == layout.bytes,
      let partials = MemorySegment.open(offer.partials), let sums = MemorySegment.open(offer.sums)
    else { return nil }
    (self.partials, self.sums) = (partials, sums)
  }

  /// What the neighbour sends at a hop: of its partials at the first, else of its sums.
  func bytes<Value: ReducibleInteger>(of range: Range<Int>, as type: Value.Type, hop: Int) -> UnsafeRawBufferPointer {
    let size = MemoryLayout<Value>.size
    let start = type == Int64.self ? layout.statisticsAt : 0
    return unsafe (hop == 0 ? partials : sums).bytes(start + size * range.lowerBound..<start + size * range.upperBound)
  }

  /// Whether all that was read so far is of this generation.
  func isOf(_ generation: UInt32) -> Bool { partials.word == generation && sums.word == generation }
}
