// Decides whether a link gains by compression, by measuring both ways.
import Recipes
import Shared

/// The throughput of the link to the right neighbour, and the choice whether to compress that follows from it.
///
/// A network-bound link gains by fewer bytes, a CPU-bound one by fewer instructions. Only the elapsed time, from the
/// first chunk's encoding to the last acknowledgement, shows which it is.
public struct LinkPace {
  /// The result of the trials, in bytes of values per second.
  public struct Choice: Hashable, Sendable {
    public let compressed: Double
    public let plain: Double
    public var compresses: Bool { compressed >= plain }
  }

  /// Steps measured each way, and steps until the next measurement.
  private static let trials = 3
  private static let interval = 1000
  /// Smaller exchanges measure latency rather than throughput.
  private static let enough = 1 << 18

  private let setting: ExchangeRecipe.Codec
  var choice: Choice?
  private var samples: (compressed: [Double], plain: [Double]) = ([], [])
  private var steps = 0
  private var busySince: ContinuousClock.Instant?
  private var busy = Duration.zero
  private var bytes = 0

  init(_ setting: ExchangeRecipe.Codec) { self.setting = setting }

  /// Whether to compress the chunks of the present step. Otherwise they are sent in 16 bits, or stored.
  var compresses: Bool {
    switch setting {
    case .lz4: true
    case .none: false
    case .auto: isTrial ? samples.compressed.count <= samples.plain.count : choice?.compresses ?? true
    }
  }

  /// The encoding to use if it makes a chunk smaller.
  var encoding: ChunkEncoding { setting == .none ? .stored : compresses ? .lz4 : .short }

  private var isTrial: Bool { choice == nil || steps >= Self.interval }

  /// Starts the clock: chunks are waiting for the link.
  mutating func begins(_ now: ContinuousClock.Instant) { busySince = busySince ?? now }

  mutating func encoded(_ count: Int) { bytes += count }

  /// Stops the clock: everything that was sent has been acknowledged.
  mutating func rests(_ now: ContinuousClock.Instant) {
    if let since = busySince { busy += now - since }
    busySince = nil
  }

  /// Ends a step. Acknowledgements still in flight count for it up to now.
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
