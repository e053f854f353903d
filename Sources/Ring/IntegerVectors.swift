// The vectors that the ring reduces: quantised gradients and fixed-point statistics.
import CKernels
import Shared
import Synchronization

/// Two integer vectors that travel together: Int32 gradients of all parameters and Int64 statistics.
public final class IntegerVectors: Sendable {
  public let gradients: AlignedStorage<Int32>
  public let statistics: AlignedStorage<Int64>
  /// The segment in which a neighbour on this machine can read both vectors; nil if they are private.
  let segment: MemorySegment?

  /// - Parameters:
  ///   - gradientCount: elements; 0 is allowed, here and for the statistics.
  ///   - shared: whether to use memory that other processes can read, if the system has it.
  public init(gradientCount: Int, statisticCount: Int, shared: Bool = false) {
    let layout = SegmentLayout(gradientCount: gradientCount, statisticCount: statisticCount)
    segment = shared ? MemorySegment.create(bytes: layout.bytes) : nil
    if let segment {
      gradients = AlignedStorage(in: segment, at: 0, count: gradientCount)
      statistics = AlignedStorage(in: segment, at: layout.statisticsAt, count: statisticCount)
    } else {
      gradients = AlignedStorage(count: gradientCount)
      statistics = AlignedStorage(count: statisticCount)
    }
  }

  public func zero() {
    gradients.zero()
    statistics.zero()
  }

  /// Gradients per block; each block is hashed independently.
  private static let block = 1 << 18

  private var blocks: Int { (gradients.count + Self.block - 1) / Self.block }

  private func block(_ index: Int) -> Range<Int> {
    index * Self.block..<min((index + 1) * Self.block, gradients.count)
  }

  /// The digest and the checksum that a ballot carries, in one pass over memory.
  /// - Parameter threads: how many threads may share the work.
  public func digestAndChecksum(threads: Int = 1) -> (digest: Digest128, linearChecksum: UInt64) {
    let sum = Atomic<UInt64>(0)
    let digest = digest(threads: threads) { sum.wrappingAdd(checksum($0), ordering: .relaxed) }
    return unsafe (
      digest, sum.load(ordering: .relaxed) &+ tamring_ring_checksum64(statistics.base, statistics.count)
    )
  }

  /// XXH3-128 over the XXH3-128 of each block of 2^18 gradients, then over the statistics.
  /// - Parameters:
  ///   - threads: how many may share the work.
  ///   - also: called with each block while it is in the caches.
  public func digest(threads: Int = 1, also: (Range<Int>) -> Void = { _ in }) -> Digest128 {
    var digests = [Digest128](repeating: Digest128(high: 0, low: 0), count: blocks)
    unsafe digests.withUnsafeMutableBufferPointer { digests in
      Parallel.forEach(blocks, threads: threads) { index, _ in
        let values = unsafe UnsafeMutableBufferPointer(rebasing: gradients.buffer[block(index)])
        unsafe digests[index] = Digest128(of: UnsafeRawBufferPointer(values))
        also(block(index))
      }
    }
    let stream = Digest128Stream()
    for digest in digests {
      unsafe withUnsafeBytes(of: (digest.high.littleEndian, digest.low.littleEndian)) { unsafe stream.update($0) }
    }
    unsafe stream.update(UnsafeRawBufferPointer(statistics.bytes))
    return stream.finish()
  }

  /// `Σ rᵢ·xᵢ mod 2^64`, rᵢ fixed odd numbers: the checksums of partials add up to the checksum of their sum.
  /// - Parameter threads: how many threads may share the work.
  public func linearChecksum(threads: Int = 1) -> UInt64 {
    let sum = Atomic<UInt64>(0)
    Parallel.forEach(blocks, threads: threads) { index, _ in
      sum.wrappingAdd(checksum(block(index)), ordering: .relaxed)
    }
    return unsafe sum.load(ordering: .relaxed) &+ tamring_ring_checksum64(statistics.base, statistics.count)
  }

  private func checksum(_ range: Range<Int>) -> UInt64 {
    unsafe tamring_ring_checksum32(gradients.base + range.lowerBound, range.lowerBound, range.count)
  }
}
