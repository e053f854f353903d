// Who sends which part of which vector when: pure arithmetic on positions, buckets, segments, hops and chunks.
import Recipes
import Shared

/// The tunable parameters. All ranks of a generation use the same values.
public struct RingSettings: Hashable, Sendable {
  /// Int32 values per bucket, except for the smaller ones at the front; 2^20 are 4 MiB.
  public var bucketValues = 1 << 20
  /// Values per chunk, at most 65,536; one chunk is one frame.
  public var chunkValues = 1 << 16
  /// A bucket of at most this many values travels whole: half the hops, for a few more bytes on the wire.
  public var wholeValues = 4096
  /// Frames that may be in flight without acknowledgement.
  public var window = 32
  /// Bytes that may be in flight without acknowledgement: enough for 10 Gbit/s over 0.8 ms, and few enough to stay in a
  /// core's cache from the encoder to the socket.
  public var windowBytes = 1 << 20
  /// The retransmission timeout, doubled each time up to 8 s.
  public var resendAfter = Duration.seconds(1)
  /// How chunks are encoded. This never changes the sums: each frame names its own encoding.
  public var codec = ExchangeRecipe.Codec.auto

  public init() {}
}

/// A ring all-reduce as one position sees it: reduce-scatter in hops 0…R−2, all-gather in hops R−1…2R−3.
///
/// Each bucket is cut into R segments. At hop h, position p sends segment (p − h) mod R to p + 1 and receives
/// segment (p − h − 1) mod R from p − 1; after hop R−2 it holds the complete sum of segment (p + 1) mod R.
///
/// A bucket may instead travel whole, in R−1 hops: each position's partial passes all others, and each adds it up.
/// Small buckets do so, because there the latency of the hops dominates; with two positions all do, at no cost in
/// bytes.
///
/// **Source:** Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009.
public struct RingPlan: Hashable, Sendable {
  /// R, from 1 up.
  public let size: Int
  /// p in 0..<R.
  public let position: Int
  /// The range of each bucket: in the gradients, and for the last one in the statistics.
  public let buckets: [Range<Int>]
  let chunkValues: Int
  private let wholeValues: Int

  public init(size: Int, position: Int, gradientCount: Int, statisticCount: Int, settings: RingSettings = .init()) {
    precondition(size >= 1 && size <= 1 << 14 && position >= 0 && position < size, "position \(position) of \(size)")
    precondition((1...65_536).contains(settings.chunkValues), "chunks of \(settings.chunkValues) values")
    precondition(settings.bucketValues > 0 && settings.window > 0, "empty buckets or window")
    self.size = size
    self.position = position
    chunkValues = settings.chunkValues
    wholeValues = settings.wholeValues
    buckets = Self.buckets(of: gradientCount, settings.bucketValues) + [0..<statisticCount]
    precondition(buckets.count <= Int(UInt16.max), "\(buckets.count) buckets; make them larger")
  }

  /// Divides the gradients into buckets. Those of the first layers complete last, when all others have been reduced. So
  /// that little remains to be done then, buckets begin small, and each is as large as all before it, up to the full
  /// size.
  static func buckets(of count: Int, _ bucketValues: Int) -> [Range<Int>] {
    var buckets: [Range<Int>] = []
    var first = 0
    while first < count {
      let last = min(count, first + min(bucketValues, max(first, smallestBucket)))
      buckets.append(first..<last)
      first = last
    }
    return buckets
  }

  private static let smallestBucket = 1 << 16

  /// The bucket of the statistics.
  public var statisticsBucket: Int { buckets.count - 1 }
  public var right: Int { (position + 1) % size }
  public var left: Int { (position + size - 1) % size }

  var gradientCount: Int { buckets.dropLast().last?.upperBound ?? 0 }

  func isWhole(_ bucket: Int) -> Bool { size == 2 || buckets[bucket].count <= wholeValues }

  func hops(of bucket: Int) -> Int { isWhole(bucket) ? size - 1 : 2 * size - 2 }

  /// Whether what arrives at this hop is to be added to what is here; else it is a sum that is complete.
  func isAdded(hop: Int) -> Bool { hop < size - 1 }

  /// Whether what a position sends of this bucket lies in its own partials and sums: what others began with does not.
  func isOwn(_ bucket: Int) -> Bool { size == 2 || !isWhole(bucket) }

  /// Whether what arrives at this hop goes on as it came.
  func isForwarded(hop: Int, of bucket: Int) -> Bool {
    hop + 1 < hops(of: bucket) && (isWhole(bucket) || !isAdded(hop: hop))
  }

  /// The elements that go to the right at a hop; a position's own and the sums of others.
  func sent(hop: Int, of bucket: Int) -> Range<Int> { piece(position + 2 * size - hop, of: bucket) }

  /// The elements that come from the left at a hop.
  func received(hop: Int, of bucket: Int) -> Range<Int> { piece(position + 2 * size - hop - 1, of: bucket) }

  /// The lengths of segments differ by at most one.
  private func piece(_ number: Int, of bucket: Int) -> Range<Int> {
    let range = buckets[bucket]
    if isWhole(bucket) { return range }
    let index = number % size
    return range.lowerBound + range.count * index / size..<range.lowerBound + range.count * (index + 1) / size
  }

  func chunkCount(_ piece: Range<Int>) -> Int { (piece.count + chunkValues - 1) / chunkValues }

  func chunk(_ index: Int, of piece: Range<Int>) -> Range<Int> {
    let start = piece.lowerBound + index * chunkValues
    return start..<min(start + chunkValues, piece.upperBound)
  }

  /// The position whose ballot arrives at a hop of the vote.
  func ballotReceived(hop: Int) -> Int { (position + 2 * size - hop - 1) % size }
}
