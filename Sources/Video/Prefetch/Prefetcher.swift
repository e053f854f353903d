// Decodes the clips of coming lanes on its own threads while the present lanes are computed.
import Foundation
import Shared

/// Decodes lanes in the order of the requests, clip by clip, on several threads.
///
/// Sendable because `queue` and `isStopping` are only accessed with `condition` locked. Before a lane is ready, threads
/// write to disjoint parts of its memory; afterwards nobody here does.
@safe
public final class Prefetcher: @unchecked Sendable {
  private let condition = NSCondition()
  private var queue: LaneQueue
  private var isStopping = false
  private let loader: ClipLoader
  private let onReady: @Sendable (LaneKey) -> Void

  /// - Parameters:
  ///   - threads: decoding threads, at least 1.
  ///   - capacity: how many lanes may hold memory before they are taken, at least 1.
  ///   - loader: share it with everybody who loads clips, so that each file is checked once.
  ///   - onReady: called on a decoding thread when a lane is ready or has failed.
  public init(
    threads: Int, capacity: Int, loader: ClipLoader = ClipLoader(),
    onReady: @escaping @Sendable (LaneKey) -> Void = { _ in }
  ) {
    precondition(threads > 0 && capacity > 0, "\(threads) threads, a capacity of \(capacity)")
    queue = LaneQueue(capacity: capacity) { loader.storage(count: $0) }
    self.loader = loader
    self.onReady = onReady
    for number in 0..<threads {
      startThread(named: "decode \(number)") { [self] in run() }
    }
  }

  /// Grows while clips are being loaded, also within a lane and within a clip. While it grows, nothing hangs.
  public var progress: UInt64 { loader.progress.count }

  /// Requests a lane. A lane that was requested already is not decoded twice.
  public func request(_ key: LaneKey, _ job: LaneJob) {
    withQueue { $0.add(key, job) }
  }

  /// Whether `take` would return at once.
  public func isReady(_ key: LaneKey) -> Bool {
    condition.withLock { queue.isReady(key) ?? true }
  }

  /// Waits for a lane and returns it. Return its memory with `recycle` when the lane is computed.
  /// - Parameter isWanted: called again after each `release`.
  /// - Returns: nil if the lane was never requested, or was cancelled, or the prefetcher has stopped.
  /// - Throws: `VideoError` naming clip and reason, after a second attempt.
  public func take(_ key: LaneKey, while isWanted: () -> Bool = { true }) throws -> LaneBatch? {
    condition.lock()
    defer { condition.unlock() }
    queue.await(key)
    condition.broadcast()
    while !isStopping, isWanted(), queue.isReady(key) == false { condition.wait() }
    guard isWanted() else { return nil }
    defer { condition.broadcast() }
    return try queue.remove(key)
  }

  /// Makes all waiting threads call their `isWanted` again.
  public func release() { condition.withLock { condition.broadcast() } }

  /// Cancels all other lanes. A thread that waits for a cancelled lane gets nil.
  public func keep(only keys: Set<LaneKey>) {
    withQueue { $0.keep(only: keys) }
  }

  /// Returns a batch's memory for reuse, so that no step allocates.
  public func recycle(_ batch: LaneBatch) {
    withQueue { $0.recycle(batch.storage) }
  }

  /// Ends the threads, each after its present clip. Otherwise they live as long as the process.
  public func stop() {
    condition.withLock {
      isStopping = true
      condition.broadcast()
    }
  }

  private func withQueue(_ change: (inout LaneQueue) -> Void) {
    condition.withLock {
      change(&queue)
      condition.broadcast()
    }
  }

  private func run() {
    condition.lock()
    while !isStopping {
      guard let piece = queue.next() else {
        condition.wait()
        continue
      }
      condition.unlock()
      let failure = decode(piece)
      condition.lock()
      guard queue.finish(piece, failure: failure) else { continue }
      condition.broadcast()
      condition.unlock()
      onReady(piece.key)
      condition.lock()
    }
    condition.unlock()
  }

  /// - Returns: why the clip cannot be decoded, after a second attempt; nil if it was.
  private func decode(_ piece: LaneQueue.Piece) -> (any Error)? {
    let elements = piece.job.form.clipElements
    do {
      try loader.load(
        piece.job.clips[piece.position], piece.job.form, epoch: piece.job.epoch, into: piece.storage,
        at: piece.position * elements, tries: 2)
      return nil
    } catch {
      return error
    }
  }
}
