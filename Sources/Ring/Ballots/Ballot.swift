// A rank's vote on its reduced sum, cast before anything is applied.
import Shared

/// A rank's vote on one attempt of a step.
public struct Ballot: Hashable, Sendable {
  public var rank: UInt32
  /// `IntegerVectors.digest()` of the reduced sum.
  public var sumDigest: Digest128
  /// The digest of the weights that the step started from.
  public var weightsDigest: Digest128
  /// The digest of the tensors' exponents. Sums of different scales cannot be added.
  public var scalesDigest: UInt64
  /// `IntegerVectors.linearChecksum()` of its own partial.
  public var partialChecksum: UInt64
  /// The linear checksum of the reduced sum, as this rank has it.
  public var sumChecksum: UInt64
  /// `ClipPairs` of the clips that this rank trained for its partial.
  public var trainedClips: Digest128
  /// `ClipPairs` of all lanes, as this rank expects it from the recipe and the excluded clips.
  public var expectedClips: Digest128
  /// The lanes in its partial. Empty lanes of a short step count as covered by their owner.
  public var lanes: LaneSet
  /// What this rank has heard of the coordinator: `Heard.code`.
  public var directive: UInt64
  public var raised: [RaisedExponent]
  /// The first `Ballot.listLimit` that this rank found.
  public var nonFinite: [NonFiniteGradient]

  /// The most entries that a list may have on the wire.
  public static let listLimit = 16_384

  public init(
    rank: UInt32, sumDigest: Digest128, weightsDigest: Digest128, scalesDigest: UInt64, partialChecksum: UInt64,
    sumChecksum: UInt64, trainedClips: Digest128, expectedClips: Digest128, lanes: LaneSet, directive: UInt64,
    raised: [RaisedExponent] = [], nonFinite: [NonFiniteGradient] = []
  ) {
    precondition(raised.count <= Ballot.listLimit, "\(raised.count) raised exponents")
    precondition(lanes.words.count <= Ballot.listLimit, "\(lanes.words.count) words of lanes")
    self.rank = rank
    self.sumDigest = sumDigest
    self.weightsDigest = weightsDigest
    self.scalesDigest = scalesDigest
    self.partialChecksum = partialChecksum
    self.sumChecksum = sumChecksum
    self.trainedClips = trainedClips
    self.expectedClips = expectedClips
    self.lanes = lanes
    self.directive = directive
    self.raised = raised
    self.nonFinite = Array(nonFinite.prefix(Ballot.listLimit))
  }

  /// The ballot as bytes: fixed fields, then three lists, each after its length; all little-endian.
  public func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    func put(_ value: some FixedWidthInteger) {
      for byte in 0..<value.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }
    put(rank)
    for word in [
      sumDigest.high, sumDigest.low, weightsDigest.high, weightsDigest.low, scalesDigest, partialChecksum,
      sumChecksum, trainedClips.high, trainedClips.low, expectedClips.high, expectedClips.low, directive,
    ] { put(word) }
    put(UInt32(lanes.words.count))
    for word in lanes.words { put(word) }
    put(UInt32(raised.count))
    for entry in raised {
      put(entry.tensor)
      put(entry.exponent)
    }
    put(UInt32(nonFinite.count))
    for entry in nonFinite {
      put(entry.tensor)
      put(entry.lane)
    }
    return bytes
  }

  /// - Throws: `RingError(.badData)` if the bytes are not exactly one ballot.
  public init(decoding bytes: some Sequence<UInt8>) throws {
    var reader = Reader(bytes: Array(bytes))
    rank = try reader.next(UInt32.self)
    sumDigest = Digest128(high: try reader.next(UInt64.self), low: try reader.next(UInt64.self))
    weightsDigest = Digest128(high: try reader.next(UInt64.self), low: try reader.next(UInt64.self))
    scalesDigest = try reader.next(UInt64.self)
    partialChecksum = try reader.next(UInt64.self)
    sumChecksum = try reader.next(UInt64.self)
    trainedClips = Digest128(high: try reader.next(UInt64.self), low: try reader.next(UInt64.self))
    expectedClips = Digest128(high: try reader.next(UInt64.self), low: try reader.next(UInt64.self))
    directive = try reader.next(UInt64.self)
    lanes = LaneSet(words: try reader.list { try $0.next(UInt64.self) })
    raised = try reader.list {
      RaisedExponent(tensor: try $0.next(UInt32.self), exponent: try $0.next(Int32.self))
    }
    nonFinite = try reader.list {
      NonFiniteGradient(tensor: try $0.next(UInt32.self), lane: try $0.next(UInt32.self))
    }
    guard reader.offset == reader.bytes.count else { throw Reader.malformed }
  }

  private struct Reader {
    static let malformed = RingError(.badData, "a ballot in the ring is malformed; do all workers run one version?")
    let bytes: [UInt8]
    var offset = 0

    mutating func next<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
      let size = Value.bitWidth / 8
      guard bytes.count - offset >= size else { throw Reader.malformed }
      var value: Value = 0
      for byte in 0..<size { value |= Value(truncatingIfNeeded: bytes[offset + byte]) << (8 * byte) }
      offset += size
      return value
    }

    mutating func list<Entry>(_ entry: (inout Reader) throws -> Entry) throws -> [Entry] {
      let count = Int(try next(UInt32.self))
      guard count <= Ballot.listLimit else { throw Reader.malformed }
      var entries: [Entry] = []
      for _ in 0..<count { entries.append(try entry(&self)) }
      return entries
    }
  }
}
