// What a worker's event loop talks to: one generation's links and the exchange of the step in flight. It opens no
// socket and reads no clock.
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
  private let codec: ChunkCodec
  private var sender: LinkSender
  private var receiver = LinkReceiver()
  private var exchange: RingExchange?
  /// The newest attempt that was begun.
  private var newest: (step: UInt64, attempt: UInt8)?
  private var early: [[UInt8]] = []
  private var counted = RingCounters()
  private var isAborted = false

  public init(generation: UInt32, plan: RingPlan, settings: RingSettings = .init()) {
    self.generation = generation
    self.plan = plan
    codec = ChunkCodec(capacity: plan.chunkValues)
    sender = LinkSender(window: settings.window, resendAfter: settings.resendAfter)
  }

  // MARK: The step

  /// Begins an attempt, which must be newer than the last. Buckets are started one by one, as their partials are
  /// complete.
  /// - Parameters:
  ///   - partials: the own partial sum; read until the ballots are complete.
  ///   - sums: receives the reduced sum; complete once `isReduced`.
  /// - Throws: `RingError` for an impossible frame that came early.
  public func begin(step: UInt64, attempt: UInt8, partials: IntegerVectors, sums: IntegerVectors) throws {
    precondition(newest.map { $0 < (step, attempt) } ?? true, "step \(step), attempt \(attempt) is not new")
    precondition(!isAborted, "an aborted ring")
    retireExchange()
    newest = (step, attempt)
    exchange = RingExchange(
      generation: generation, step: step, attempt: attempt, plan: plan, codec: codec, partials: partials, sums: sums)
    let frames = early
    early = []
    for bytes in frames {
      try unsafe bytes.withUnsafeBytes { raw in
        guard let frame = unsafe Frame.decode(raw) else { preconditionFailure("an early frame changed") }
        try unsafe deliver(frame, raw)
      }
    }
  }

  /// The partials of a bucket (see `plan.buckets`) are complete and will not change.
  /// - Throws: `RingError` for an impossible frame that was waiting for it.
  public func start(bucket: Int) throws { try current.start(bucket) }

  /// The same for all buckets.
  public func startAll() throws { for bucket in plan.buckets.indices { try current.start(bucket) } }

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
    exchange = nil
    early = []
    sender = LinkSender(window: 1, resendAfter: .seconds(1))
    receiver = LinkReceiver()
  }

  // MARK: The wire

  /// Takes one frame from the left neighbour. Damaged, repeated and foreign ones are counted and mended.
  /// - Throws: `RingError` if an undamaged frame breaks the protocol; the ring cannot go on.
  public func receiveFromLeft(_ bytes: UnsafeRawBufferPointer, now: ContinuousClock.Instant) throws {
    counted.bytesReceived += bytes.count
    if isAborted { return }
    guard let frame = unsafe Frame.decode(bytes), frame.kind == .chunk || frame.kind == .ballot else {
      counted.damagedFrames += 1
      receiver.arrivedDamaged()
      return
    }
    guard frame.generation == generation else {
      counted.foreignFrames += 1
      return
    }
    switch receiver.arrived(frame.sequence) {
    case .deliver: try unsafe deliver(frame, bytes)
    case .duplicate: counted.duplicateFrames += 1
    case .gap: counted.framesOutOfOrder += 1
    }
  }

  public func receiveFromLeft(_ bytes: [UInt8], now: ContinuousClock.Instant) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe receiveFromLeft($0, now: now) }
  }

  /// Takes one acknowledgement from the right neighbour. A damaged one is counted: a later one will do.
  public func receiveFromRight(_ bytes: UnsafeRawBufferPointer, now: ContinuousClock.Instant) {
    counted.bytesReceived += bytes.count
    if isAborted { return }
    guard let frame = unsafe Frame.decode(bytes), frame.kind == .acknowledgement || frame.kind == .refusal else {
      counted.damagedFrames += 1
      return
    }
    guard frame.generation == generation else {
      counted.foreignFrames += 1
      return
    }
    sender.acknowledge(frame.sequence, refused: frame.kind == .refusal, now: now)
  }

  public func receiveFromRight(_ bytes: [UInt8], now: ContinuousClock.Instant) {
    unsafe bytes.withUnsafeBytes { unsafe receiveFromRight($0, now: now) }
  }

  /// The next frame to send to the right neighbour; chunks are encoded only when the window has room for them.
  public func nextToRight(now: ContinuousClock.Instant) -> [UInt8]? {
    if sender.hasRoom, let frame = exchange?.nextFrame() { sender.append(frame) }
    let bytes = sender.next(now: now)
    counted.bytesSent += bytes?.count ?? 0
    return bytes
  }

  /// The acknowledgement that is due to the left neighbour.
  public func nextToLeft() -> [UInt8]? {
    guard !isAborted, let (kind, sequence) = receiver.answer() else { return nil }
    var bytes = unsafe Frame(kind: kind, generation: generation).bytes(payloadRoom: 0) { _ in (.stored, 0) }
    Frame.seal(&bytes, sequence: sequence)
    counted.bytesSent += bytes.count
    return bytes
  }

  /// When `nextToRight` must be asked again even if nothing arrives.
  public var deadline: ContinuousClock.Instant? { sender.deadline }

  // MARK: Keys

  private func deliver(_ frame: Frame, _ bytes: UnsafeRawBufferPointer) throws {
    let key = (frame.step, frame.attempt)
    if let newest, key < newest {
      counted.staleFrames += 1
    } else if let exchange, key == (exchange.step, exchange.attempt) {
      try unsafe exchange.receive(frame, bytes)
    } else {
      counted.earlyFrames += 1
      unsafe early.append(Array(bytes))
    }
  }

  /// A neighbour may still want the last ballots of an exchange that is complete here: they go to the link.
  private func retireExchange() {
    guard let exchange else { return }
    while let frame = exchange.nextFrame() { sender.append(frame) }
    counted.rawBytes += exchange.rawBytes
    counted.encodedBytes += exchange.encodedBytes
    self.exchange = nil
  }

  private var current: RingExchange {
    guard let exchange else { preconditionFailure("no step was begun") }
    return exchange
  }
}
