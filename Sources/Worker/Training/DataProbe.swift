// Checks whether this host's copy of the data can be read at all: a clip is to blame only if other clips can be read.
import Foundation
import Shared
import Synchronization
import Video

/// Tries some clips of the training index on a thread of its own, since a read from a dead network mount never returns.
final class DataProbe: Sendable {
  struct Outcome: Sendable {
    /// Whether a clip other than the suspect can be read.
    var reads: Bool
    /// The suspect, and whether it can be read after all.
    var clip: (number: Int, reads: Bool)?
    /// Why the first clip that was tried cannot be read.
    var reason: String
  }

  /// Clips that are tried at most, spread over the index.
  private static let samples = 8

  private let context: RunContext
  private let isRunning = Mutex(false)
  let outcomes: Mailbox<Outcome>

  init(_ context: RunContext, wake: @escaping @Sendable () -> Void) {
    self.context = context
    outcomes = Mailbox(wake: wake)
  }

  /// Starts looking, unless that goes on already.
  func start(suspect: Int?) {
    let isFree = isRunning.withLock { running in
      defer { running = true }
      return !running
    }
    guard isFree else { return }
    startThread(named: "probe") { [self] in
      let outcome = look(suspect)
      isRunning.withLock { $0 = false }
      outcomes.put([outcome])
    }
  }

  private func look(_ suspect: Int?) -> Outcome {
    let loader = context.makeLoader()
    // The suspect may be a draw of a balanced run.
    let own = suspect.map { $0 % context.train.clips.count }
    if let reason = Self.problem(context, loader, except: own) {
      return Outcome(reads: false, clip: nil, reason: reason)
    }
    // Check the suspect last: a moment in which every read failed must not be blamed on it.
    let clip = suspect.map { ($0, Self.failure(context, loader, $0) == nil) }
    return Outcome(reads: true, clip: clip, reason: "")
  }

  /// Why no clip of a sample can be read; nil where one can.
  static func problem(_ context: RunContext, _ loader: ClipLoader, except suspect: Int? = nil) -> String? {
    let count = context.train.clips.count
    let step = max(1, count / samples)
    var first: String?
    for clip in stride(from: 0, to: count, by: step) where clip != suspect {
      guard let failure = failure(context, loader, clip) else { return nil }
      first = first ?? failure
    }
    return first ?? "the index has no other clip"
  }

  private static func failure(_ context: RunContext, _ loader: ClipLoader, _ clip: Int) -> String? {
    let form = context.form(training: true)
    let output = loader.storage(count: form.clipElements)
    do {
      try loader.load(context.trainingRequest(clip), form, epoch: 0, into: output)
      return nil
    } catch { return "\(error)" }
  }
}

/// A read on a thread of its own, which may never return.
///
/// Sendable because `outcome` is only touched with `condition` locked.
final class PatientRead<Outcome: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private var outcome: Outcome?

  init(_ read: @escaping @Sendable () -> Outcome) {
    startThread(named: "probe") { [self] in
      let outcome = read()
      condition.withLock {
        self.outcome = outcome
        condition.broadcast()
      }
    }
  }

  /// - Returns: nil if it has not returned in time, counted from now; it goes on then, and its result is dropped.
  func result(within time: Duration) -> Outcome? {
    let deadline = Date.now.addingTimeInterval(time.seconds)
    return condition.withLock {
      while outcome == nil, condition.wait(until: deadline) {}
      return outcome
    }
  }
}

/// Detects that reading makes no progress while a lane waits for it.
struct ReadWatch {
  private var seen: UInt64 = 0
  private var since: ContinuousClock.Instant?

  /// - Parameters:
  ///   - progress: grows as long as anything is read.
  ///   - isAwaited: whether a lane waits for clips.
  /// - Returns: for how long nothing was read though it was wanted.
  mutating func stalled(progress: UInt64, isAwaited: Bool, at now: ContinuousClock.Instant) -> Duration? {
    guard isAwaited, progress == seen, let since else {
      seen = progress
      since = isAwaited ? now : nil
      return nil
    }
    return now - since
  }
}
