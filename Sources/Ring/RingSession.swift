// The ring of one generation, as a worker's event loop uses it: the links, and the exchange of the step in flight. It
// opens no socket and reads no clock.
import Foundation
import Shared

/// What an exchange waits for, for diagnosis.
public struct RingProgress: Hashable, Sendable {
  public enum Waiting: Hashable, Sendable {
    case nothing
    /// This worker's lanes have to complete a bucket's partials.
    case start(bucket: Int)
    case chunk(bucket: Int, hop: Int, position: Int)
    /// A ballot is missing, possibly this position's own.
    case ballot(position: Int)
  }

  public let step: UInt64
  public let attempt: UInt8
  public let waiting: Waiting
}

/// Traffic over the links of a generation so far.
public struct RingCounters: Hashable, Sendable {
  /// Bytes given to and received from the transport, including acknowledgements and retransmissions.
  public var bytesSent = 0
  public var bytesReceived = 0
  /// Bytes of the chunks sent, before and after encoding, with headers but without retransmissions. Their quotient is
  /// the compression ratio.
  public var rawBytes = 0
  public var encodedBytes = 0
  public var framesResent = 0
  public var damagedFrames = 0
  /// Frames of another generation, and of earlier steps or attempts.
  public var foreignFrames = 0
  public var staleFrames = 0
  /// Frames of a step or attempt that has not begun here. They are kept until it does.
  public var earlyFrames = 0

  public init() {}
}

/// The ring of one generation, at one position.
///
/// The caller's loop passes in what arrived (`receiveFromLeft`, `receiveFromRight`), sends what `nextToRight` and
/// `nextToLeft` return until both return nil, and wakes again for input or at `deadline`. One thread at a time.
public final class RingSession {
  public let generation: UInt32
  public let plan: RingPlan
  private let tools: RingTools
  var pace: LinkPace
  private var sender: LinkSender
  private var receiver = LinkReceiver()
  private var exchange: RingExchange?
  /// The newest attempt that has begun.
  private var newest: (step: UInt64, attempt: UInt8)?
  private var early: [RingExchange.Arrival] = []
  private var counted = RingCounters()
  /// The segments last offered to the right neighbour, and the number of offers so far.
  private var offer: SharedMemoryTransport.Offer?
  private var offers: UInt32 = 0
  private var segments: [MemorySegment] = []
  /// The number of the left neighbour's newest offer, if its memory could be mapped; else 0.
  private var taken: UInt32 = 0
  private var isAborted = false

  public init(generation: UInt32, plan: RingPlan, settings: RingSettings = .init()) {
    self.generation = generation
    self.plan = plan
    tools = RingTools(chunkValues: plan.chunkValues)
    pace = LinkPace(settings.codec)
    sender = LinkSender(
      window: settings.window, windowBytes: settings.windowBytes, resendAfter: settings.resendAfter)
  }

  // MARK: The step

  /// Begins an attempt, which must be newer than the last. The caller starts each bucket when its partials are
  /// complete.
  /// - Parameters:
  ///   - partials: this position's partial sum, read until the ballots are complete or the ring is aborted. If both
  ///     vectors are in shared memory, the right neighbour may read them there.
  ///   - sums: receives the reduced sum, complete when `isReduced`. It is lent to the transport, so it must not change
  ///     until all other positions have their sums, as a complete set of ballots shows.
  /// - Throws: `RingError` for an impossible frame that arrived early.
  public func begin(
    step: UInt64, attempt: UInt8, partials: IntegerVectors, sums: IntegerVectors, now: ContinuousClock.Instant
  ) throws {
    precondition(newest.map { $0 < (step, attempt) } ?? true, "step \(step), attempt \(attempt) is not new")
    precondition(!isAborted, "the ring was aborted")
    retireExchange(now)
    newest = (step, attempt)
    offerMemory(partials, sums)
    exchange = RingExchange(
      generation: generation, step: step, attempt: attempt, plan: plan, tools: tools, partials: partials, sums: sums)
    let arrivals = early
    early = []
    try deliver(arrivals)
  }

  /// Starts a bucket (see `plan.buckets`), whose partials are complete and will not change.
  /// - Throws: `RingError` for an impossible frame that was held back for it.
  public func start(bucket: Int) throws { try current.start(bucket) }

  /// Starts all buckets that are not started yet.
  public func startAll() throws {
    for bucket in plan.buckets.indices where !current.isStarted(bucket) { try current.start(bucket) }
  }

  /// Whether the sums are complete.
  public var isReduced: Bool { exchange?.isReduced ?? false }

  /// Casts this position's ballot. Call it only when `isReduced`.
  public func offer(_ ballot: Ballot) { current.offer(ballot) }

  /// All ballots in the order of positions, once the last has arrived.
  public var ballots: [Ballot]? { exchange?.completeBallots }

  public var progress: RingProgress? {
    exchange.map { RingProgress(step: $0.step, attempt: $0.attempt, waiting: $0.waiting) }
  }

  /// The position that this one waits for; nil if it waits for nothing, or for its own lanes.
  public var waitsFor: Int? {
    switch exchange?.waiting {
    case .chunk(_, _, let position): position
    case .ballot(let position) where position != plan.position: position
    default: nil
    }
  }

  /// The time since which the right neighbour has acknowledged nothing; nil if nothing is outstanding.
  public var unacknowledgedSince: ContinuousClock.Instant? { sender.waitingSince }

  /// How many threads encode and add chunks, including the caller's; 1 by default.
  public var threads: Int {
    get { tools.threads }
    set { tools.threads = max(1, newValue) }
  }

  /// The measured choice whether to compress on the link to the right neighbour; nil if there is none yet.
  public var measuredPace: LinkPace.Choice? { pace.choice }

  public var counters: RingCounters {
    var counters = counted
    counters.rawBytes += exchange?.rawBytes ?? 0
    counters.encodedBytes += exchange?.encodedBytes ?? 0
    counters.framesResent = sender.resent
    return counters
  }

  /// Ends the ring: forgets the partials, the sums and all frames. Frames that arrive afterwards are dropped.
  public func abort() {
    isAborted = true
    // The cleared tag tells the neighbour that the contents may change from now on.
    for segment in segments { segment.word = 0 }
    segments = []
    tools.left = nil
    exchange = nil
    early = []
    sender = LinkSender(window: 1, windowBytes: 1, resendAfter: .seconds(1))
    receiver = LinkReceiver()
  }

  // MARK: The wire

  /// Processes frames from the left neighbour. Damaged, duplicate and foreign frames are counted and dropped.
  /// - Throws: `RingError` if an undamaged frame breaks the protocol; the ring cannot go on.
  public func receiveFromLeft(_ messages: [FrameMessage], now: ContinuousClock.Instant) throws {
    counted.bytesReceived += messages.reduce(0) { $0 + $1.count }
    if isAborted { return }
    var frames = [Frame?](repeating: nil, count: messages.count)
    unsafe frames.withUnsafeMutableBufferPointer { frames in
      tools.forEach(messages.count) { index, _ in
        unsafe frames[index] = Frame.decode(messages[index])
      }
    }
    var arrivals: [RingExchange.Arrival] = []
    for (frame, message) in zip(frames, messages) {
      guard let frame, [.chunk, .ballot, .memory].contains(frame.kind) else {
        counted.damagedFrames += 1
        receiver.arrivedDamaged()
        continue
      }
      guard frame.generation == generation else {
        counted.foreignFrames += 1
        continue
      }
      switch receiver.arrived(frame.sequence) {
      case .deliver where frame.kind == .memory: takeOffer(frame, message.payload)
      case .deliver: arrivals.append(RingExchange.Arrival(frame: frame, payload: message.payload))
      case .duplicate, .gap: break
      }
    }
    try deliver(arrivals)
  }

  public func receiveFromLeft(_ message: [UInt8], now: ContinuousClock.Instant) throws {
    try receiveFromLeft([FrameMessage([Data(message)])], now: now)
  }

  /// Processes one acknowledgement from the right neighbour. A damaged one is only counted: later ones replace it.
  public func receiveFromRight(_ message: FrameMessage, now: ContinuousClock.Instant) {
    counted.bytesReceived += message.count
    if isAborted { return }
    guard let frame = Frame.decode(message), frame.kind == .acknowledgement || frame.kind == .refusal else {
      counted.damagedFrames += 1
      return
    }
    guard frame.generation == generation else {
      counted.foreignFrames += 1
      return
    }
    tools.isReadByRight = offer != nil && frame.chunk == offers
    sender.acknowledge(frame.sequence, refused: frame.kind == .refusal, now: now) { tools.frames.giveBack($0) }
    if sender.isIdle, !(exchange?.hasOutgoing ?? false) { pace.rests(now) }
  }

  public func receiveFromRight(_ bytes: [UInt8], now: ContinuousClock.Instant) {
    receiveFromRight(FrameMessage([Data(bytes)]), now: now)
  }

  /// The next frame to send to the right neighbour. Chunks are encoded only when the window has room for them.
  public func nextToRight(now: ContinuousClock.Instant) -> FrameBytes? {
    if let exchange, exchange.hasOutgoing, !sender.hasUnsent {
      pace.begins(now)
      let before = exchange.rawBytes
      for frame in exchange.nextFrames(limit: sender.room, as: pace.encoding) { sender.append(frame) }
      pace.encoded(exchange.rawBytes - before)
    }
    let frame = sender.next(now: now)
    counted.bytesSent += frame?.count ?? 0
    return frame
  }

  /// The acknowledgement to send to the left neighbour, if one is due.
  public func nextToLeft() -> FrameBytes? {
    guard !isAborted, let (kind, sequence) = receiver.answer() else { return nil }
    let bytes = Frame(kind: kind, generation: generation, chunk: taken).bytes()
    bytes.seal(sequence: sequence)
    counted.bytesSent += bytes.count
    return bytes
  }

  /// When to call `nextToRight` again even if nothing arrives.
  public var deadline: ContinuousClock.Instant? { sender.deadline }

  // MARK: Shared memory

  /// Whether the right neighbour reads partials and sums in shared memory.
  public var isReadByRight: Bool { tools.isReadByRight }

  /// Offers the segments of partials and sums to the right neighbour, if they are not those offered before.
  private func offerMemory(_ partials: IntegerVectors, _ sums: IntegerVectors) {
    let next = plan.size > 1 ? SharedMemoryTransport.Offer(partials, sums) : nil
    if next == offer { return }
    offer = next
    tools.isReadByRight = false
    segments = [partials.segment, sums.segment].compactMap { $0 }
    guard let next else { return }
    for segment in segments { segment.word = generation }
    offers += 1
    let frame = Frame(kind: .memory, generation: generation, chunk: offers)
    unsafe next.encoded.withUnsafeBytes { unsafe sender.append(frame.bytes(payload: $0)) }
  }

  /// Maps the offered segments. If that fails, `taken` stays 0 and the left neighbour sends over the wire.
  private func takeOffer(_ frame: Frame, _ payload: Data) {
    tools.left = SharedMemoryTransport.Offer(decoding: payload).flatMap { SharedMemoryTransport($0, plan: plan) }
    taken = tools.left == nil ? 0 : frame.chunk
  }

  // MARK: Steps and attempts

  private func deliver(_ arrivals: [RingExchange.Arrival]) throws {
    var present: [RingExchange.Arrival] = []
    for arrival in arrivals {
      let key = (arrival.frame.step, arrival.frame.attempt)
      if let newest, key < newest {
        counted.staleFrames += 1
      } else if let exchange, key == (exchange.step, exchange.attempt) {
        present.append(arrival)
      } else {
        counted.earlyFrames += 1
        early.append(arrival)
      }
    }
    try exchange?.receive(present)
  }

  /// Queues the last ballots of an exchange that is complete here, because a neighbour may still need them.
  private func retireExchange(_ now: ContinuousClock.Instant) {
    guard let exchange else { return }
    while exchange.hasOutgoing {
      for frame in exchange.nextFrames(limit: .max, as: pace.encoding) { sender.append(frame) }
    }
    pace.endStep(now)
    counted.rawBytes += exchange.rawBytes
    counted.encodedBytes += exchange.encodedBytes
    self.exchange = nil
  }

  private var current: RingExchange {
    guard let exchange else { preconditionFailure("no step has begun") }
    return exchange
  }
}
