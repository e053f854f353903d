// Decodes the clips of coming lanes on threads of its own while present ones are computed.
import Foundation
import Shared

/// Threads that decode lanes in the order in which they are asked for, clip by clip.
///
/// Sendable because `queue` and `isStopping` are only touched with `condition` locked, and a lane's memory is written
/// by the threads that hold its pieces, at disjoint places, before the lane is ready, and by nobody here after.
@safe
public final class Prefetcher: @unchecked Sendable {
  private let condition = NSCondition()
  private var queue: LaneQueue
  private var isStopping = false
  private let loader: ClipLoader
  private let onReady: @Sendable (LaneKey) -> Void

  /// - Parameters:
  ///   - threads: decoding threads, at least 1.
  ///   - capacity: lanes that may hold memory before they are taken, at least 1.
  ///   - loader: shared with whoever else loads clips, so that files are checked once.
  ///   - onReady: called on a decoding thread when a lane is ready, or failed.
  public init(
    threads: Int, capacity: Int, loader: ClipLoader = ClipLoader(),
    onReady: @escaping @Sendable (LaneKey) -> Void = { _ in }
  ) {
    precondition(threads > 0 && capacity > 0, "\(threads) threads, a capacity of \(capacity)")
    queue = LaneQueue(capacity: capacity)
    self.loader = loader
    self.onReady = onReady
    for number in 0..<threads {
      startThread(named: "decode \(number)") { [self] in run() }
    }
  }

  /// Grows while clips are being loaded, within a lane and within a clip too: as long as it does, nothing hangs.
  public var progress: UInt64 { loader.progress.count }

  /// Asks for a lane. One that was asked for already is not decoded twice.
  public func request(_ key: LaneKey, _ job: LaneJob) {
    withQueue { $0.add(key, job) }
  }

  /// Whether `take` would return at once.
  public func isReady(_ key: LaneKey) -> Bool {
    condition.withLock { queue.isReady(key) ?? true }
  }

  /// Waits for a lane and hands it over. Give its memory back with `recycle` when it is computed.
  /// - Returns: nil where the lane was never asked for, or cancelled, or the prefetcher stopped.
  /// - Throws: `VideoError` naming clip and reason, after a second try.
  /// - Parameter isWanted: asked again after each `release`.
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

  /// Makes all who wait look again whether they still want what they wait for.
  public func release() { condition.withLock { condition.broadcast() } }

  /// Cancels every lane but these; whoever waits for a cancelled one gets nil.
  public func keep(only keys: Set<LaneKey>) {
    withQueue { $0.keep(only: keys) }
  }

  /// Gives a batch's memory back, so that no step allocates.
  public func recycle(_ batch: LaneBatch) {
    withQueue { $0.recycle(batch.storage) }
  }

  /// Ends the threads, each after the clip that it is decoding. Without it they live as long as the process.
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

  /// - Returns: why the clip cannot be decoded, after a second try.
  private func decode(_ piece: LaneQueue.Piece) -> (any Error)? {
    let elements = piece.job.form.clipElements
    let start = piece.position * elements
    let dst = unsafe UnsafeMutableBufferPointer(rebasing: piece.storage.buffer[start..<start + elements])
    let request = piece.job.clips[piece.position]
    do {
      do {
        unsafe try loader.load(request, piece.job.form, epoch: piece.job.epoch, into: dst)
      } catch {
        unsafe try loader.load(request, piece.job.form, epoch: piece.job.epoch, into: dst)
      }
      return nil
    } catch {
      return error
    }
  }
}
