// What a worker's event loop talks to: one generation's links and the exchange of the step in flight. It opens no
// socket and reads no clock.
import Foundation
import Shared

/// Where an exchange stands, for diagnosis.
public struct RingProgress: Hashable, Sendable {
  public enum Waiting: Hashable, Sendable {
    case nothing
    /// For the own lanes to complete a bucket's partials.
    case start(bucket: Int)
    case chunk(bucket: Int, hop: Int, position: Int)
    /// For a ballot; the own one, if the position is.
    case ballot(position: Int)
  }

  public let step: UInt64
  public let attempt: UInt8
  public let waiting: Waiting
}

/// What went over the links of a generation so far.
public struct RingCounters: Hashable, Sendable {
  /// Bytes handed to the transport and taken from it, acknowledgements and repetitions included.
  public var bytesSent = 0
  public var bytesReceived = 0
  /// Bytes of the chunks sent, before encoding and after (headers included, repetitions not): their quotient is the
  /// compression ratio.
  public var rawBytes = 0
  public var encodedBytes = 0
  public var framesResent = 0
  public var damagedFrames = 0
  public var duplicateFrames = 0
  /// Frames that came after one that is missing.
  public var framesOutOfOrder = 0
  /// Frames of another generation, and of steps or attempts that are over.
  public var foreignFrames = 0
  public var staleFrames = 0
  /// Frames of a step or attempt that has not begun here; they are kept.
  public var earlyFrames = 0

  public init() {}
}

/// A ring of one generation as one position sees it.
///
/// The caller's loop: hand over what arrived (`receiveFromLeft`, `receiveFromRight`), then take what is to be sent
/// (`nextToRight`, `nextToLeft`) until both are nil; wake again for input or at `deadline`. One thread at a time.
public final class RingSession {
  public let generation: UInt32
  public let plan: RingPlan
  private let tools: RingTools
  var pace: LinkPace
  private var sender: LinkSender
  private var receiver = LinkReceiver()
  private var exchange: RingExchange?
  /// The newest attempt that was begun.
  private var newest: (step: UInt64, attempt: UInt8)?
  private var early: [RingExchange.Arrival] = []
  private var counted = RingCounters()
  /// The segments that the right neighbour was last told of, and how often it was told of any.
  private var offer: SharedMemoryTransport.Offer?
  private var offers: UInt32 = 0
  private var segments: [MemorySegment] = []
  /// The newest of the left neighbour's offers, if it can be read; else 0.
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

  /// Begins an attempt, which must be newer than the last. Buckets are started one by one, as their partials are
  /// complete.
  /// - Parameters:
  ///   - partials: the own partial sum; read until the ballots are complete, or the ring is aborted. If both vectors
  ///     are in shared memory, the right neighbour may read them there.
  ///   - sums: receives the reduced sum; complete once `isReduced`. It is lent to the transport, so it must stay as it is
  ///     until all others have their sums, which complete ballots show.
  /// - Throws: `RingError` for an impossible frame that came early.
  public func begin(
    step: UInt64, attempt: UInt8, partials: IntegerVectors, sums: IntegerVectors, now: ContinuousClock.Instant = .now
  ) throws {
    precondition(newest.map { $0 < (step, attempt) } ?? true, "step \(step), attempt \(attempt) is not new")
    precondition(!isAborted, "an aborted ring")
    retireExchange(now)
    newest = (step, attempt)
    offerMemory(partials, sums)
    exchange = RingExchange(
      generation: generation, step: step, attempt: attempt, plan: plan, tools: tools, partials: partials, sums: sums)
    let arrivals = early
    early = []
    try deliver(arrivals)
  }

  /// The partials of a bucket (see `plan.buckets`) are complete and will not change.
  /// - Throws: `RingError` for an impossible frame that was waiting for it.
  public func start(bucket: Int) throws { try current.start(bucket) }

  /// The same for all buckets that were not started yet.
  public func startAll() throws {
    for bucket in plan.buckets.indices where !current.isStarted(bucket) { try current.start(bucket) }
  }

  /// Whether the sums are complete.
  public var isReduced: Bool { exchange?.isReduced ?? false }

  /// Casts the own ballot; only when `isReduced`.
  public func offer(_ ballot: Ballot) { current.offer(ballot) }

  /// All ballots, in the order of positions, once they are complete.
  public var ballots: [Ballot]? { exchange?.completeBallots }

  public var progress: RingProgress? {
    exchange.map { RingProgress(step: $0.step, attempt: $0.attempt, waiting: $0.waiting) }
  }

  /// The position that something is missing from; nil where nothing is, or only from the own lanes.
  public var waitsFor: Int? {
    switch exchange?.waiting {
    case .chunk(_, _, let position): position
    case .ballot(let position) where position != plan.position: position
    default: nil
    }
  }

  /// Since when the right neighbour has acknowledged nothing of what it was sent; nil where nothing is outstanding.
  public var unacknowledgedSince: ContinuousClock.Instant? { sender.waitingSince }

  /// On how many threads chunks are encoded and added, the caller's included; 1 unless set.
  public var threads: Int {
    get { tools.threads }
    set { tools.threads = max(1, newValue) }
  }

  /// What the link to the right neighbour was measured to gain by compression, if it decides by that and has.
  public var measuredPace: LinkPace.Choice? { pace.choice }

  public var counters: RingCounters {
    var counters = counted
    counters.rawBytes += exchange?.rawBytes ?? 0
    counters.encodedBytes += exchange?.encodedBytes ?? 0
    counters.framesResent = sender.resent
    return counters
  }

  /// Ends the ring: forgets the partials, the sums and all frames. What arrives afterwards is dropped.
  public func abort() {
    isAborted = true
    // Whoever reads them from now on knows that they may be others'.
    for segment in segments { segment.word = 0 }
    segments = []
    tools.left = nil
    exchange = nil
    early = []
    sender = LinkSender(window: 1, windowBytes: 1, resendAfter: .seconds(1))
    receiver = LinkReceiver()
  }

  // MARK: The wire

  /// Takes frames from the left neighbour. Damaged, repeated and foreign ones are counted and mended.
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
      case .duplicate: counted.duplicateFrames += 1
      case .gap: counted.framesOutOfOrder += 1
      }
    }
    try deliver(arrivals)
  }

  public func receiveFromLeft(_ message: [UInt8], now: ContinuousClock.Instant) throws {
    try receiveFromLeft([FrameMessage([Data(message)])], now: now)
  }

  /// Takes one acknowledgement from the right neighbour. A damaged one is counted: a later one will do.
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

  /// The next frame to send to the right neighbour; chunks are encoded only when the window has room for them.
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

  /// The acknowledgement that is due to the left neighbour.
  public func nextToLeft() -> FrameBytes? {
    guard !isAborted, let (kind, sequence) = receiver.answer() else { return nil }
    let bytes = Frame(kind: kind, generation: generation, chunk: taken).bytes()
    bytes.seal(sequence: sequence)
    counted.bytesSent += bytes.count
    return bytes
  }

  /// When `nextToRight` must be asked again even if nothing arrives.
  public var deadline: ContinuousClock.Instant? { sender.deadline }

  // MARK: Memory

  /// Whether the right neighbour reads partials and sums where they are.
  public var isReadByRight: Bool { tools.isReadByRight }

  /// Tells the right neighbour where partials and sums are, if they are elsewhere than before.
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

  /// What cannot be read from here comes over the wire.
  private func takeOffer(_ frame: Frame, _ payload: Data) {
    tools.left = SharedMemoryTransport.Offer(decoding: payload).flatMap { SharedMemoryTransport($0, plan: plan) }
    taken = tools.left == nil ? 0 : frame.chunk
  }

  // MARK: Keys

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

  /// A neighbour may still want the last ballots of an exchange that is complete here: they go to the link.
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
    guard let exchange else { preconditionFailure("no step was begun") }
    return exchange
  }
}
