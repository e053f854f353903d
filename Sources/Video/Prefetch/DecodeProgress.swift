// Distinguishes slow decoding from a hang.
import Synchronization

/// A count that grows with all work on a clip: each MiB that is hashed, each packet that is read or decoded, each clip
/// that is complete. Only its growth means something: decoding does not hang.
public final class DecodeProgress: Sendable {
  private let steps = Atomic<UInt64>(0)

  public init() {}

  public var count: UInt64 { steps.load(ordering: .relaxed) }

  public func moved() { steps.add(1, ordering: .relaxed) }
}
