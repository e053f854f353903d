// Prefetches the clips of coming lanes, and gives them to the lanes.
import Shared
import Video

/// Decodes the clips of coming lanes on threads of their own, while present ones are computed.
final class ClipFeed: Sendable {
  private let context: RunContext
  private let prefetcher: Prefetcher

  /// - Parameter lanes: that this host computes in a step, at most; as many more are decoded ahead.
  init(_ context: RunContext, threads: Int, lanes: Int) {
    self.context = context
    prefetcher = Prefetcher(
      threads: threads, capacity: 2 * max(1, lanes), loader: context.makeLoader())
  }

  /// Grows while clips are read and decoded. As long as it grows, decoding does not hang.
  var progress: UInt64 { prefetcher.progress }

  /// Replaces what is to be decoded: the lanes of `steps`, in order.
  func want(_ steps: [UInt64], lanes: [Int]) {
    let keys = steps.flatMap { step in lanes.map { LaneKey(step: Int(step), lane: $0) } }
    prefetcher.keep(only: Set(keys))
    for key in keys { request(key) }
  }

  /// Waits for a lane's clips. Give them back with `recycle`.
  /// - Parameter isWanted: whether a lane that was cancelled is still to be had.
  /// - Returns: nil if it is not wanted any more.
  /// - Throws: `VideoError` naming the clip that cannot be decoded, also at a second try.
  func take(step: UInt64, lane: Int, isWanted: () -> Bool) throws -> LaneBatch? {
    // The lane may not have been prefetched: its step is repeated, or was not foreseen.
    try take(LaneKey(step: Int(step), lane: lane), isWanted) { request($0) }
  }

  private func take(_ key: LaneKey, _ isWanted: () -> Bool, request: (LaneKey) -> Void) throws -> LaneBatch? {
    while true {
      if let batch = try prefetcher.take(key, while: isWanted) { return batch }
      guard isWanted() else { return nil }
      request(key)
    }
  }

  /// Makes every thread that waits for a lane check again whether it is still wanted.
  func release() { prefetcher.release() }

  func recycle(_ batch: LaneBatch) { prefetcher.recycle(batch) }

  // MARK: Validation clips

  /// Starts decoding a view of a validation clip.
  /// - Parameter number: tells this view of the clip from others.
  func prefetch(validation clip: Int, number: Int, _ view: ClipView) {
    prefetcher.request(
      Self.key(validation: clip, number),
      LaneJob(clips: [context.validationRequest(clip)], form: context.form(training: false, view: view), epoch: 0))
  }

  /// Waits for a view of a validation clip, as `take` does for a lane.
  func take(validation clip: Int, number: Int, _ view: ClipView, isWanted: () -> Bool) throws -> LaneBatch? {
    try take(Self.key(validation: clip, number), isWanted) { _ in prefetch(validation: clip, number: number, view) }
  }

  /// Steps count up from 0: below are the validation clips.
  private static func key(validation clip: Int, _ number: Int) -> LaneKey { LaneKey(step: -1 - clip, lane: number) }

  private func request(_ key: LaneKey) {
    guard let job = context.job(step: UInt64(key.step), lane: key.lane) else { return }
    prefetcher.request(key, job)
  }
}
