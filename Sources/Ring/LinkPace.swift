// Whether a link gains by compression: tried both ways, and decided by what was measured.
import Shared

/// How fast values come through a link to the right, and with it the choice whether to compress.
///
/// A link that waits for the wire gains by fewer bytes, one that waits for the processor by fewer instructions; which
/// it is shows only in how long the values take, from the first chunk's encoding to the last acknowledgement.
public struct LinkPace {
  /// What came of the trials, in bytes of values a second.
  public struct Choice: Hashable, Sendable {
    public let compressed: Double
    public let plain: Double
    public var compresses: Bool { compressed >= plain }
  }

  /// Steps that are tried each way, and steps until it is tried again.
  private static let trials = 3
  private static let interval = 1000
  /// What is smaller says more about latency than about the link.
  private static let enough = 1 << 18

  private let setting: ExchangeRecipe.Codec
  var choice: Choice?
  private var samples: (compressed: [Double], plain: [Double]) = ([], [])
  private var steps = 0
  private var busySince: ContinuousClock.Instant?
  private var busy = Duration.zero
  private var bytes = 0

  init(_ setting: ExchangeRecipe.Codec) { self.setting = setting }

  /// Whether the chunks of the present step are to be compressed; else they are in 16 bits, or as they are.
  var compresses: Bool {
    switch setting {
    case .lz4: true
    case .none: false
    case .auto: isTrial ? samples.compressed.count <= samples.plain.count : choice?.compresses ?? true
    }
  }

  /// What they are to be encoded as, where that makes them smaller.
  var encoding: ChunkEncoding { setting == .none ? .stored : compresses ? .lz4 : .short }

  private var isTrial: Bool { choice == nil || steps >= Self.interval }

  /// Chunks are waiting for the link.
  mutating func begins(_ now: ContinuousClock.Instant) { busySince = busySince ?? now }

  mutating func encoded(_ count: Int) { bytes += count }

  /// All that was to be sent has been acknowledged.
  mutating func rests(_ now: ContinuousClock.Instant) {
    if let since = busySince { busy += now - since }
    busySince = nil
  }

  /// A step is over. Its last acknowledgements may still be on their way: they count for it up to now.
  mutating func endStep(_ now: ContinuousClock.Instant) {
    rests(now)
    defer { (busy, bytes) = (.zero, 0) }
    guard setting == .auto else { return }
    steps += 1
    guard isTrial, bytes >= Self.enough, busy > .zero else { return }
    let rate = Double(bytes) / (busy / .seconds(1))
    if compresses { samples.compressed.append(rate) } else { samples.plain.append(rate) }
    guard min(samples.compressed.count, samples.plain.count) == Self.trials else { return }
    choice = Choice(
      compressed: samples.compressed.sorted()[Self.trials / 2], plain: samples.plain.sorted()[Self.trials / 2])
    samples = ([], [])
    steps = 0
  }
}
