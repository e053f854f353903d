// Reliable, ordered delivery from one position to the next, over a transport that may lose, duplicate, damage or
// reorder frames: sequence numbers, cumulative acknowledgements, a sliding window and go-back-N retransmission.

/// The sending half, towards the right neighbour. It keeps each frame until it is acknowledged.
struct LinkSender {
  private let window: Int
  private let windowBytes: Int
  private let resendAfter: Duration
  private var unacknowledged = FIFO<FrameBytes>()
  private var unacknowledgedBytes = 0
  /// The number of the oldest unacknowledged frame.
  private var oldest: UInt64 = 0
  /// How many of the unacknowledged frames have been sent since the last go-back.
  private var cursor = 0
  private var patience: Duration
  private var deadlineOfOldest: ContinuousClock.Instant?
  /// The time of the last acknowledgement of progress; nil if no sent frame is outstanding.
  private(set) var waitingSince: ContinuousClock.Instant?
  /// Frames below this number have been sent before, so sending them is a retransmission.
  private var highestSent: UInt64 = 0
  private(set) var resent = 0

  init(window: Int, windowBytes: Int, resendAfter: Duration) {
    self.window = window
    self.windowBytes = windowBytes
    self.resendAfter = resendAfter
    patience = resendAfter
  }

  /// How many more frames may be queued.
  var room: Int { unacknowledgedBytes >= windowBytes ? 0 : max(0, window - unacknowledged.count) }
  /// Whether `next` would return a frame; frames beyond the window wait for acknowledgements.
  var hasUnsent: Bool { cursor < min(window, unacknowledged.count) }
  var isIdle: Bool { unacknowledged.isEmpty }
  /// When to call `next` even if nothing happens: the retransmission deadline.
  var deadline: ContinuousClock.Instant? { deadlineOfOldest }

  /// Numbers, seals and queues a frame.
  mutating func append(_ frame: FrameBytes) {
    frame.seal(sequence: oldest + UInt64(unacknowledged.count))
    unacknowledged.append(frame)
    unacknowledgedBytes += frame.count
  }

  /// The next frame to send, if any.
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

  /// Processes an acknowledgement: all frames below `sequence` have arrived; with `refused`, frame `sequence` has not.
  /// `done` receives the frames that are no longer needed.
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
    /// A frame before it is missing.
    case gap
  }

  /// The number of the next frame in order; all frames below it have been delivered.
  private(set) var expected: UInt64 = 0
  private var lastSeen: UInt64 = 0
  private var acknowledgementDue = false
  private var refusalDue = false
  /// A refusal of `expected` has been sent, and the left neighbour has not gone back yet.
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

  /// The acknowledgement to send now, if one is due.
  mutating func answer() -> (kind: Frame.Kind, sequence: UInt64)? {
    guard acknowledgementDue || refusalDue else { return nil }
    defer {
      acknowledgementDue = false
      refusalDue = false
    }
    return (refusalDue ? .refusal : .acknowledgement, expected)
  }
}
