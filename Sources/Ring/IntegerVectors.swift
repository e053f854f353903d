// What is reduced: the quantised gradients and the fixed-point statistics.
import CKernels
import Shared

/// Two integer vectors that travel together: Int32 gradients of all parameters and Int64 statistics.
public final class IntegerVectors: Sendable {
  public let gradients: AlignedStorage<Int32>
  public let statistics: AlignedStorage<Int64>

  /// - Parameters: counts in elements; 0 is allowed.
  public init(gradientCount: Int, statisticCount: Int) {
    gradients = AlignedStorage(count: gradientCount)
    statistics = AlignedStorage(count: statisticCount)
  }

  public func zero() {
    gradients.zero()
    statistics.zero()
  }

  /// XXH3-128 over the gradients' bytes, then the statistics'.
  public func digest() -> Digest128 {
    let stream = Digest128Stream()
    unsafe stream.update(UnsafeRawBufferPointer(gradients.bytes))
    unsafe stream.update(UnsafeRawBufferPointer(statistics.bytes))
    return stream.finish()
  }

  /// `Σ rᵢ·xᵢ mod 2^64`, rᵢ fixed odd numbers: the checksums of partials add up to the checksum of their sum.
  public func linearChecksum() -> UInt64 {
    unsafe tamring_ring_checksum32(gradients.base, gradients.count)
      &+ tamring_ring_checksum64(statistics.base, statistics.count)
  }
}
