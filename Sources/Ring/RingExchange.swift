// One attempt of one step: chunks and ballots through the ring. Knows nothing of links, time or the network.
import Shared

/// The reduction of one (generation, step, attempt), as one position runs it.
///
/// The partials are read, never written; the sums are written piece by piece. A chunk goes on as soon as it is added.
final class RingExchange {
  private struct Bucket {
    var started = false
    /// The next chunk of each hop: frames of a hop come in order.
    var nextChunk: [Int]
    /// Chunks of each hop that have not been merged.
    var missing: [Int]
    /// Frames that came before the bucket was started.
    var held: [[UInt8]] = []

    var isDone: Bool { started && missing.allSatisfy { $0 == 0 } }
  }

  private enum Outgoing {
    /// Encoded when it is asked for.
    case chunk(bucket: Int, hop: Int, index: Int)
    /// An unsealed frame.
    case frame([UInt8])
  }

  let generation: UInt32
  let step: UInt64
  let attempt: UInt8
  private let plan: RingPlan
  private let codec: ChunkCodec
  private let partials: IntegerVectors
  private let sums: IntegerVectors
  private var buckets: [Bucket]
  private var outgoing = FIFO<Outgoing>()
  private var ballots: [Ballot?]
  private var unfinished: Int
  /// Bytes of the chunks sent, before encoding and after.
  private(set) var rawBytes = 0
  private(set) var encodedBytes = 0

  init(
    generation: UInt32, step: UInt64, attempt: UInt8, plan: RingPlan, codec: ChunkCodec, partials: IntegerVectors,
    sums: IntegerVectors
  ) {
    precondition(
      partials.gradients.count == sums.gradients.count && partials.statistics.count == sums.statistics.count
        && plan.buckets.dropLast().last?.upperBound ?? 0 == sums.gradients.count
        && plan.buckets[plan.statisticsBucket].count == sums.statistics.count, "vectors that do not fit the plan")
    self.generation = generation
    self.step = step
    self.attempt = attempt
    self.plan = plan
    self.codec = codec
    self.partials = partials
    self.sums = sums
    buckets = plan.buckets.indices.map { bucket in
      let missing = (0..<plan.hops).map { hop in
        plan.chunkCount(plan.segment(plan.segmentReceived(hop: hop), of: bucket))
      }
      return Bucket(nextChunk: Array(repeating: 0, count: plan.hops), missing: missing)
    }
    unfinished = buckets.count
    ballots = Array(repeating: nil, count: plan.size)
  }

  var isReduced: Bool { unfinished == 0 }

  /// All ballots, by position, once complete.
  var completeBallots: [Ballot]? {
    let cast = ballots.compactMap { $0 }
    return cast.count == ballots.count ? cast : nil
  }

  /// The partials of this bucket are complete: send the own segment, and take what was held.
  func start(_ bucket: Int) throws {
    precondition(!buckets[bucket].started, "bucket \(bucket) was started twice")
    buckets[bucket].started = true
    if plan.size == 1 {
      if bucket == plan.statisticsBucket {
        sums.statistics.copy(from: partials.statistics)
      } else {
        let range = plan.buckets[bucket]
        unsafe (sums.gradients.base + range.lowerBound).update(
          from: partials.gradients.base + range.lowerBound, count: range.count)
      }
    } else {
      let own = plan.segment(plan.segmentSent(hop: 0), of: bucket)
      for index in 0..<plan.chunkCount(own) { outgoing.append(.chunk(bucket: bucket, hop: 0, index: index)) }
    }
    let held = buckets[bucket].held
    buckets[bucket].held = []
    if buckets[bucket].isDone { unfinished -= 1 }
    for bytes in held {
      try unsafe bytes.withUnsafeBytes { raw in
        guard let frame = unsafe Frame.decode(raw) else { preconditionFailure("a held frame changed") }
        try unsafe merge(frame, UnsafeRawBufferPointer(rebasing: raw[Frame.headerBytes...]))
      }
    }
  }

  /// Casts the own ballot. Only once all buckets are reduced.
  func offer(_ ballot: Ballot) {
    precondition(isReduced, "a ballot before the sum is complete")
    precondition(ballots[plan.position] == nil, "two ballots of one attempt")
    ballots[plan.position] = ballot
    if plan.size > 1 { sendBallot(ballot, hop: 0) }
  }

  /// Takes a frame of this key.
  /// - Throws: `RingError` if no correct neighbour can have sent it.
  func receive(_ frame: Frame, _ bytes: UnsafeRawBufferPointer) throws {
    let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[Frame.headerBytes...])
    if frame.kind == .ballot { return try unsafe receiveBallot(frame, payload) }
    let bucket = Int(frame.bucket)
    let hop = Int(frame.hop)
    guard bucket < buckets.count, hop < plan.hops else { throw violation(frame, "has no place in the plan") }
    let segment = plan.segment(plan.segmentReceived(hop: hop), of: bucket)
    guard Int(frame.chunk) == buckets[bucket].nextChunk[hop], Int(frame.chunk) < plan.chunkCount(segment),
      Int(frame.valueCount) == plan.chunk(Int(frame.chunk), of: segment).count
    else { throw violation(frame, "is out of turn or of the wrong size") }
    buckets[bucket].nextChunk[hop] += 1
    if buckets[bucket].started {
      try unsafe merge(frame, payload)
    } else {
      unsafe buckets[bucket].held.append(Array(bytes))
    }
  }

  /// The next frame for the right neighbour, not yet sealed.
  func nextFrame() -> [UInt8]? {
    switch outgoing.removeFirst() {
    case .frame(let bytes): return bytes
    case .chunk(let bucket, let hop, let index):
      let segment = plan.segment(plan.segmentSent(hop: hop), of: bucket)
      let range = plan.chunk(index, of: segment)
      let source = hop == 0 ? partials : sums
      let bytes =
        bucket == plan.statisticsBucket
        ? encode(source.statistics, range, bucket, hop, index) : encode(source.gradients, range, bucket, hop, index)
      encodedBytes += bytes.count
      return bytes
    case nil: return nil
    }
  }

  /// The first bucket that is not reduced, the first of its hops with a chunk missing, and the position awaited.
  var waiting: RingProgress.Waiting {
    if let bucket = buckets.firstIndex(where: { !$0.isDone }) {
      let hop = buckets[bucket].missing.firstIndex { $0 > 0 } ?? 0
      return buckets[bucket].started
        ? .chunk(bucket: bucket, hop: hop, position: plan.left) : .start(bucket: bucket)
    }
    guard let position = ballots.firstIndex(where: { $0 == nil }) else { return .nothing }
    return .ballot(position: position)
  }

  // MARK: Chunks

  private func merge(_ frame: Frame, _ payload: UnsafeRawBufferPointer) throws {
    let bucket = Int(frame.bucket)
    let hop = Int(frame.hop)
    let segment = plan.segment(plan.segmentReceived(hop: hop), of: bucket)
    let range = plan.chunk(Int(frame.chunk), of: segment)
    let adding = hop < plan.size - 1
    let merged =
      bucket == plan.statisticsBucket
      ? unsafe decode(frame, payload, range, into: sums.statistics, adding: adding ? partials.statistics : nil)
      : unsafe decode(frame, payload, range, into: sums.gradients, adding: adding ? partials.gradients : nil)
    guard merged else { throw violation(frame, "cannot be decoded") }
    if adding {
      outgoing.append(.chunk(bucket: bucket, hop: hop + 1, index: Int(frame.chunk)))
    } else if hop + 1 < plan.hops {
      // A complete sum goes on as it came: nothing is encoded again.
      var forwarded = frame
      forwarded.hop += 1
      let bytes = unsafe forwarded.bytes(payload: payload)
      rawBytes += range.count * (bucket == plan.statisticsBucket ? 8 : 4)
      encodedBytes += bytes.count
      outgoing.append(.frame(bytes))
    }
    buckets[bucket].missing[hop] -= 1
    if buckets[bucket].isDone { unfinished -= 1 }
  }

  private func decode<Value: ReducibleInteger>(
    _ frame: Frame, _ payload: UnsafeRawBufferPointer, _ range: Range<Int>, into sums: AlignedStorage<Value>,
    adding partials: AlignedStorage<Value>?
  ) -> Bool {
    let target = unsafe UnsafeMutableBufferPointer(rebasing: sums.buffer[range])
    guard unsafe codec.decode(payload, frame.encoding, into: target) else { return false }
    if let partials, let base = target.baseAddress {
      unsafe Value.add(partials.base + range.lowerBound, range.count, to: base)
    }
    return true
  }

  private func encode<Value: ReducibleInteger>(
    _ source: AlignedStorage<Value>, _ range: Range<Int>, _ bucket: Int, _ hop: Int, _ index: Int
  ) -> [UInt8] {
    let frame = Frame(
      kind: .chunk, generation: generation, step: step, attempt: attempt, bucket: UInt16(bucket), hop: UInt16(hop),
      chunk: UInt32(index), valueCount: UInt32(range.count))
    let raw = range.count * MemoryLayout<Value>.size
    rawBytes += raw
    return unsafe frame.bytes(payloadRoom: raw) { room in
      unsafe codec.encode(UnsafeBufferPointer(rebasing: source.buffer[range]), into: room)
    }
  }

  // MARK: Ballots

  private func sendBallot(_ ballot: Ballot, hop: Int) {
    let frame = Frame(kind: .ballot, generation: generation, step: step, attempt: attempt, hop: UInt16(hop))
    unsafe ballot.encoded().withUnsafeBytes { unsafe outgoing.append(.frame(frame.bytes(payload: $0))) }
  }

  private func receiveBallot(_ frame: Frame, _ payload: UnsafeRawBufferPointer) throws {
    let hop = Int(frame.hop)
    guard hop < plan.size - 1 else { throw violation(frame, "has no place in the plan") }
    let position = plan.ballotReceived(hop: hop)
    guard ballots[position] == nil else { throw violation(frame, "came twice") }
    let ballot = try unsafe Ballot(decoding: payload)
    ballots[position] = ballot
    if hop + 1 < plan.size - 1 { sendBallot(ballot, hop: hop + 1) }
  }

  private func violation(_ frame: Frame, _ what: String) -> RingError {
    RingError(
      .badData,
      "the ring's position \(plan.left) sent a \(frame.kind) that \(what) (step \(frame.step), attempt \(frame.attempt), "
        + "bucket \(frame.bucket), hop \(frame.hop), chunk \(frame.chunk)); do all workers run one version and recipe?")
  }
}
