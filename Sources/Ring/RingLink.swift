// Reliable, ordered delivery from one position to the next, over a transport that may lose, repeat, damage or reorder
// frames: numbers, cumulative acknowledgements, a sliding window, and going back to the oldest frame that is missing.

/// The sending half, towards the right neighbour. Keeps each frame until it is acknowledged.
struct LinkSender {
  private let window: Int
  private let windowBytes: Int
  private let resendAfter: Duration
  private var unacknowledged = FIFO<FrameBytes>()
  private var unacknowledgedBytes = 0
  /// The number of the oldest unacknowledged frame.
  private var oldest: UInt64 = 0
  /// How many of the unacknowledged frames have been sent since the last going back.
  private var cursor = 0
  private var patience: Duration
  private var deadlineOfOldest: ContinuousClock.Instant?
  /// Since when nothing more was acknowledged; nil where nothing that was sent is outstanding.
  private(set) var waitingSince: ContinuousClock.Instant?
  /// Frames numbered below this were sent before.
  private var highestSent: UInt64 = 0
  private(set) var resent = 0

  init(window: Int, windowBytes: Int, resendAfter: Duration) {
    self.window = window
    self.windowBytes = windowBytes
    self.resendAfter = resendAfter
    patience = resendAfter
  }

  /// How many frames may be appended.
  var room: Int { unacknowledgedBytes >= windowBytes ? 0 : max(0, window - unacknowledged.count) }
  /// Whether `next` has something: what lies beyond the window waits for acknowledgements.
  var hasUnsent: Bool { cursor < min(window, unacknowledged.count) }
  var isIdle: Bool { unacknowledged.isEmpty }
  /// When to ask for the next frame even if nothing happens.
  var deadline: ContinuousClock.Instant? { deadlineOfOldest }

  /// Numbers, seals and queues a frame.
  mutating func append(_ frame: FrameBytes) {
    frame.seal(sequence: oldest + UInt64(unacknowledged.count))
    unacknowledged.append(frame)
    unacknowledgedBytes += frame.count
  }

  /// The next frame to put on the wire, if any.
  mutating func next(now: ContinuousClock.Instant) -> FrameBytes? {
    if let deadline = deadlineOfOldest, now >= deadline {
      cursor = 0
      patience = min(patience * 2, max(resendAfter, .seconds(8)))
      deadlineOfOldest = now + patience
    }
    guard hasUnsent, let frame = unacknowledged[cursor] else { return nil }
    let sequence = oldest + UInt64(cursor)
    cursor += 1
    if sequence < highestSent { resent += 1 } else { highestSent = sequence + 1 }
    if deadlineOfOldest == nil { deadlineOfOldest = now + patience }
    if waitingSince == nil { waitingSince = now }
    return frame
  }

  /// All frames below `sequence` have arrived; with `refused`, the one of that number has not. Those that are not needed
  /// any more go to `done`.
  mutating func acknowledge(
    _ sequence: UInt64, refused: Bool, now: ContinuousClock.Instant, done: (FrameBytes) -> Void
  ) {
    guard sequence >= oldest, sequence <= highestSent else { return }
    let progress = sequence > oldest
    while oldest < sequence, let frame = unacknowledged.removeFirst() {
      unacknowledgedBytes -= frame.count
      done(frame)
      oldest += 1
      cursor = max(0, cursor - 1)
    }
    if progress {
      patience = resendAfter
      deadlineOfOldest = unacknowledged.isEmpty ? nil : now + patience
      waitingSince = unacknowledged.isEmpty ? nil : now
    }
    if refused { cursor = 0 }
  }
}

/// The receiving half, from the left neighbour.
struct LinkReceiver {
  enum Arrival {
    /// The next frame in order.
    case deliver
    case duplicate
    /// One before it is missing.
    case gap
  }

  /// The number of the next frame in order: all below have been delivered.
  private(set) var expected: UInt64 = 0
  private var lastSeen: UInt64 = 0
  private var acknowledgementDue = false
  private var refusalDue = false
  /// A refusal of `expected` has gone out, and the left neighbour has not gone back since.
  private var refused = false

  mutating func arrived(_ sequence: UInt64) -> Arrival {
    defer { lastSeen = sequence }
    if sequence == expected {
      expected += 1
      acknowledgementDue = true
      refusalDue = false
      refused = false
      return .deliver
    }
    if sequence < expected {
      acknowledgementDue = true
      return .duplicate
    }
    if sequence <= lastSeen { refused = false }
    refuse()
    return .gap
  }

  mutating func arrivedDamaged() { refuse() }

  private mutating func refuse() {
    if !refused { refusalDue = true }
    refused = true
  }

  /// What to answer now, if anything is due.
  mutating func answer() -> (kind: Frame.Kind, sequence: UInt64)? {
    guard acknowledgementDue || refusalDue else { return nil }
    defer {
      acknowledgementDue = false
      refusalDue = false
    }
    return (refusalDue ? .refusal : .acknowledgement, expected)
  }
}
