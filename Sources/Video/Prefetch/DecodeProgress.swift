// Distinguishes slow decoding from a hang.
import Synchronization

/// A count that grows with all work on a clip: each MiB that is hashed, each packet that is read or decoded, each clip
/// that is complete. Only its growth means something: decoding does not hang.
public final class DecodeProgress: Sendable {
  private let steps = Atomic<UInt64>(0)
  /// Where another process sees the count, too.
  private let status: DecoderStatus?

  public init() { status = nil }

  init(_ status: DecoderStatus) { self.status = status }

  public var count: UInt64 { steps.load(ordering: .relaxed) }

  public func moved() { moved(by: 1) }

  func moved(by count: UInt64) {
    let steps = steps.wrappingAdd(count, ordering: .relaxed).newValue
    status?.progress = steps
  }
}
