// One attempt of one step: moves chunks and ballots through the ring. It knows nothing of links, time or the network.
import Foundation
import Shared

/// The all-reduce of one (generation, step, attempt) at one position.
///
/// It only reads the partials, and writes the sums chunk by chunk. A chunk is forwarded as soon as it is added.
final class RingExchange {
  private struct Bucket {
    var started = false
    /// The next chunk of each hop; the frames of a hop arrive in order.
    var nextChunk: [Int]
    /// How many chunks of each hop are not merged yet.
    var missing: [Int]
    /// Frames that arrived before the bucket was started.
    var held: [Arrival] = []

    var isDone: Bool { started && missing.allSatisfy { $0 == 0 } }
  }

  private enum Outgoing {
    /// A chunk, encoded only when it is sent.
    case chunk(Frame)
    case frame(FrameBytes)
  }

  /// A received frame.
  struct Arrival {
    let frame: Frame
    let payload: Data
  }

  let generation: UInt32
  let step: UInt64
  let attempt: UInt8
  private let plan: RingPlan
  private let tools: RingTools
  private let partials: IntegerVectors
  private let sums: IntegerVectors
  private var buckets: [Bucket]
  private var outgoing = FIFO<Outgoing>()
  private var ballots: [Ballot?]
  private var unfinished: Int
  /// Bytes of the chunks sent, before and after encoding.
  private(set) var rawBytes = 0
  private(set) var encodedBytes = 0

  init(
    generation: UInt32, step: UInt64, attempt: UInt8, plan: RingPlan, tools: RingTools, partials: IntegerVectors,
    sums: IntegerVectors
  ) {
    precondition(
      partials.gradients.count == sums.gradients.count && partials.statistics.count == sums.statistics.count
        && plan.gradientCount == sums.gradients.count
        && plan.buckets[plan.statisticsBucket].count == sums.statistics.count, "vectors that do not fit the plan")
    self.generation = generation
    self.step = step
    self.attempt = attempt
    self.plan = plan
    self.tools = tools
    self.partials = partials
    self.sums = sums
    buckets = plan.buckets.indices.map { bucket in
      let missing = (0..<plan.hops(of: bucket)).map { plan.chunkCount(plan.received(hop: $0, of: bucket)) }
      return Bucket(nextChunk: Array(repeating: 0, count: missing.count), missing: missing)
    }
    unfinished = buckets.count
    ballots = Array(repeating: nil, count: plan.size)
  }

  var isReduced: Bool { unfinished == 0 }
  var hasOutgoing: Bool { !outgoing.isEmpty }

  func isStarted(_ bucket: Int) -> Bool { buckets[bucket].started }

  /// All ballots, by position, once complete.
  var completeBallots: [Ballot]? {
    let cast = ballots.compactMap { $0 }
    return cast.count == ballots.count ? cast : nil
  }

  /// Starts a bucket whose partials are complete: sends this position's segment, and merges the frames held back.
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
      let own = plan.sent(hop: 0, of: bucket)
      for index in 0..<plan.chunkCount(own) { send(bucket, hop: 0, index, plan.chunk(index, of: own)) }
    }
    let held = buckets[bucket].held
    buckets[bucket].held = []
    if buckets[bucket].isDone { unfinished -= 1 }
    try merge(held)
  }

  /// Casts this position's ballot. Call it only when all buckets are reduced.
  func offer(_ ballot: Ballot) {
    precondition(isReduced, "a ballot before the sum is complete")
    precondition(ballots[plan.position] == nil, "two ballots of one attempt")
    ballots[plan.position] = ballot
    if plan.size > 1 { sendBallot(ballot, hop: 0) }
  }

  /// Processes frames of this step and attempt, in the order of arrival.
  /// - Throws: `RingError` if no correct neighbour can have sent one of them.
  func receive(_ arrivals: [Arrival]) throws {
    var chunks: [Arrival] = []
    for arrival in arrivals {
      let frame = arrival.frame
      if frame.kind == .ballot {
        try receiveBallot(arrival)
        continue
      }
      let bucket = Int(frame.bucket)
      let hop = Int(frame.hop)
      guard bucket < buckets.count, hop < plan.hops(of: bucket) else {
        throw violation(frame, "has no place in the plan")
      }
      let piece = plan.received(hop: hop, of: bucket)
      guard Int(frame.chunk) == buckets[bucket].nextChunk[hop], Int(frame.chunk) < plan.chunkCount(piece),
        Int(frame.valueCount) == plan.chunk(Int(frame.chunk), of: piece).count,
        hop == 0 || !plan.isWhole(bucket) || buckets[bucket].nextChunk[hop] < buckets[bucket].nextChunk[hop - 1]
      else { throw violation(frame, "is out of turn or of the wrong size") }
      buckets[bucket].nextChunk[hop] += 1
      if buckets[bucket].started { chunks.append(arrival) } else { buckets[bucket].held.append(arrival) }
    }
    try merge(chunks)
  }

  /// The next frames for the right neighbour, not yet sealed: as many as can be encoded in parallel, at most `limit`.
  func nextFrames(limit: Int, as encoding: ChunkEncoding) -> [FrameBytes] {
    var frames: [FrameBytes?] = []
    var chunks: [(place: Int, frame: Frame, storage: AlignedStorage<UInt8>?)] = []
    while frames.count < min(limit, tools.threads), let next = outgoing.removeFirst() {
      switch next {
      case .frame(let bytes): frames.append(bytes)
      case .chunk(let frame):
        var frame = frame
        let raw = rawBytes(of: frame)
        let isRead = tools.isReadByRight && plan.isOwn(Int(frame.bucket))
        if isRead { frame.encoding = .inMemory }
        let isCopied = !isRead && (encoding != .stored || raw <= Frame.copiedPayload)
        chunks.append((frames.count, frame, isCopied ? tools.frames.take(payload: raw) : nil))
        frames.append(nil)
      }
    }
    unsafe frames.withUnsafeMutableBufferPointer { frames in
      tools.forEach(chunks.count) { index, codec in
        let (place, frame, storage) = chunks[index]
        unsafe frames[place] = encode(frame, as: encoding, in: storage, codec)
      }
    }
    for chunk in chunks { count(chunk.frame, frames[chunk.place]) }
    return frames.compactMap { $0 }
  }

  /// What the exchange waits for: the first bucket that is not reduced, its first hop that lacks a chunk, and the
  /// position that has to send it.
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

  private func send(_ bucket: Int, hop: Int, _ index: Int, _ range: Range<Int>) {
    outgoing.append(
      .chunk(
        Frame(
          kind: .chunk, generation: generation, step: step, attempt: attempt, bucket: UInt16(bucket), hop: UInt16(hop),
          chunk: UInt32(index), valueCount: UInt32(range.count))))
  }

  /// Adds the next chunks, which touch disjoint values, and queues those that travel on.
  private func merge(_ chunks: [Arrival]) throws {
    // A chunk must not be added before the same chunk of the previous hop.
    var rest = chunks[...]
    while let first = rest.first {
      let together = rest.prefix { $0.frame.bucket == first.frame.bucket && $0.frame.hop == first.frame.hop }
      rest = rest.dropFirst(together.count)
      let batch = Array(together)
      var isMerged = [Bool](repeating: false, count: batch.count)
      unsafe isMerged.withUnsafeMutableBufferPointer { isMerged in
        tools.forEach(batch.count) { index, codec in unsafe isMerged[index] = decode(batch[index], codec) }
      }
      // If the neighbour aborted its ring, it may have overwritten what was read. Then this attempt must never
      // complete.
      if batch.contains(where: { $0.frame.encoding == .inMemory }), tools.left?.isOf(generation) == false { return }
      for (arrival, isMerged) in zip(batch, isMerged) {
        guard isMerged else { throw violation(arrival.frame, "cannot be decoded") }
        sendOn(arrival)
      }
    }
  }

  private func sendOn(_ arrival: Arrival) {
    let frame = arrival.frame
    let bucket = Int(frame.bucket)
    let hop = Int(frame.hop)
    // Send an uncompressed sum without a copy: lend it to the transport, or let the neighbour read it in place.
    let isLent = !plan.isWhole(bucket) && [.stored, .inMemory].contains(frame.encoding)
    if !isLent && plan.isForwarded(hop: hop, of: bucket) {
      // The all-gather forwards chunks as they came, without compressing them again.
      var forwarded = frame
      forwarded.hop += 1
      let bytes = unsafe arrival.payload.withUnsafeBytes { payload in
        unsafe forwarded.bytes(in: tools.frames.take(payload: payload.count), payload: payload)
      }
      count(forwarded, bytes)
      outgoing.append(.frame(bytes))
    } else if hop + 1 < plan.hops(of: bucket) {
      let piece = plan.received(hop: hop, of: bucket)
      send(bucket, hop: hop + 1, Int(frame.chunk), plan.chunk(Int(frame.chunk), of: piece))
    }
    buckets[bucket].missing[hop] -= 1
    if buckets[bucket].isDone { unfinished -= 1 }
  }

  /// May run on any thread.
  private func decode(_ arrival: Arrival, _ codec: ChunkCodec) -> Bool {
    Int(arrival.frame.bucket) == plan.statisticsBucket
      ? decode(arrival, codec, into: sums.statistics, adding: partials.statistics)
      : decode(arrival, codec, into: sums.gradients, adding: partials.gradients)
  }

  private func decode<Value: ReducibleInteger>(
    _ arrival: Arrival, _ codec: ChunkCodec, into sums: AlignedStorage<Value>, adding partials: AlignedStorage<Value>
  ) -> Bool {
    let frame = arrival.frame
    let hop = Int(frame.hop)
    let bucket = Int(frame.bucket)
    let range = plan.chunk(Int(frame.chunk), of: plan.received(hop: hop, of: bucket))
    let target = unsafe UnsafeMutableBufferPointer(rebasing: sums.buffer[range])
    // In a bucket that travels whole, every position adds all partials; in a segmented one, the chunk collects them on
    // its way.
    let earlier = plan.isWhole(bucket) && hop > 0 ? sums : partials
    // With two ranks nothing is forwarded, so sums larger than the caches would only evict other data.
    let isLast = plan.size == 2 && sums.count * MemoryLayout<Value>.size > 16 << 20
    let addend = unsafe plan.isAdded(hop: hop) ? UnsafePointer(earlier.base + range.lowerBound) : nil
    if frame.encoding == .inMemory {
      guard let left = tools.left, arrival.payload.isEmpty, plan.isOwn(bucket) else { return false }
      let values = unsafe left.bytes(of: range, as: Value.self, hop: hop)
      return unsafe codec.decode(values, .stored, adding: addend, into: target, pastCaches: isLast)
    }
    return unsafe arrival.payload.withUnsafeBytes {
      unsafe codec.decode($0, frame.encoding, adding: addend, into: target, pastCaches: isLast)
    }
  }

  /// May run on any thread.
  private func encode(
    _ frame: Frame, as encoding: ChunkEncoding, in storage: AlignedStorage<UInt8>?, _ codec: ChunkCodec
  ) -> FrameBytes {
    let source = frame.hop == 0 ? partials : sums
    return Int(frame.bucket) == plan.statisticsBucket
      ? encode(frame, source.statistics, as: encoding, in: storage, codec)
      : encode(frame, source.gradients, as: encoding, in: storage, codec)
  }

  /// - Parameter storage: nil if nothing has to be copied.
  private func encode<Value: ReducibleInteger>(
    _ frame: Frame, _ source: AlignedStorage<Value>, as encoding: ChunkEncoding, in storage: AlignedStorage<UInt8>?,
    _ codec: ChunkCodec
  ) -> FrameBytes {
    let range = plan.chunk(Int(frame.chunk), of: plan.sent(hop: Int(frame.hop), of: Int(frame.bucket)))
    if frame.encoding == .inMemory { return frame.bytes() }
    let lent = source.lend(range)
    guard let storage else { return frame.bytes(lending: lent) }
    return unsafe frame.bytes(in: storage, payloadRoom: lent.count) { room in
      let values = unsafe UnsafeBufferPointer(rebasing: source.buffer[range])
      if encoding == .lz4, let count = unsafe codec.compress(values, into: room) { return (.lz4, count) }
      if encoding == .short, let count = unsafe codec.shorten(values, into: room) { return (.short, count) }
      unsafe room.copyMemory(from: lent.raw)
      return (.stored, lent.count)
    }
  }

  /// The range of the chunk's values.
  private func rawBytes(of frame: Frame) -> Int {
    Int(frame.valueCount) * (Int(frame.bucket) == plan.statisticsBucket ? 8 : 4)
  }

  private func count(_ frame: Frame, _ bytes: FrameBytes?) {
    if frame.encoding != .inMemory { rawBytes += rawBytes(of: frame) }
    encodedBytes += bytes?.count ?? 0
  }

  // MARK: Ballots

  private func sendBallot(_ ballot: Ballot, hop: Int) {
    let frame = Frame(kind: .ballot, generation: generation, step: step, attempt: attempt, hop: UInt16(hop))
    unsafe ballot.encoded().withUnsafeBytes { unsafe outgoing.append(.frame(frame.bytes(payload: $0))) }
  }

  private func receiveBallot(_ arrival: Arrival) throws {
    let frame = arrival.frame
    let hop = Int(frame.hop)
    guard hop < plan.size - 1 else { throw violation(frame, "has no place in the plan") }
    let position = plan.ballotReceived(hop: hop)
    guard ballots[position] == nil else { throw violation(frame, "came twice") }
    let ballot = try Ballot(decoding: arrival.payload)
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
