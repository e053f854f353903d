// Distinguishes slow decoding from decoding that hangs.
import Synchronization

/// A count that grows with everything done on the way to a clip: each MiB that is hashed, each packet that is read or
/// decoded, each clip that is complete. Only its growth has a meaning: nothing hangs.
public final class DecodeProgress: Sendable {
  private let steps = Atomic<UInt64>(0)

  public init() {}

  public var count: UInt64 { steps.load(ordering: .relaxed) }

  func moved() { steps.add(1, ordering: .relaxed) }
}
