// Decides which clip to decode next, and into which memory. Threads and waiting are the prefetcher's.
import Shared

/// The lanes that were asked for and not yet taken, in that order.
struct LaneQueue {
  /// One clip to decode.
  struct Piece {
    let key: LaneKey
    /// Tells this request of the lane from an earlier one that was cancelled.
    let ticket: Int
    /// Position in the job.
    let position: Int
    let job: LaneJob
    let storage: FloatStorage
  }

  private struct Lane {
    let ticket: Int
    let job: LaneJob
    var storage: FloatStorage?
    /// Clips handed out; clips decoded.
    var started = 0
    var finished = 0
    var failure: (any Error)?
    var isAwaited = false
    var isReady: Bool { failure != nil || finished == job.clips.count }
  }

  /// Lanes that may hold memory before they are taken, awaited ones apart.
  let capacity: Int
  private var order: [LaneKey] = []
  private var lanes: [LaneKey: Lane] = [:]
  private var pool: [FloatStorage] = []
  private var tickets = 0

  init(capacity: Int) { self.capacity = capacity }

  /// Adds a lane; one that is there already stays as it is.
  mutating func add(_ key: LaneKey, _ job: LaneJob) {
    guard lanes[key] == nil else { return }
    tickets += 1
    order.append(key)
    lanes[key] = Lane(ticket: tickets, job: job)
  }

  /// Returns the next clip to decode: of the earliest lane that has one and may hold memory.
  mutating func next() -> Piece? {
    var holding = lanes.values.count { $0.storage != nil }
    for key in order {
      guard var lane = lanes[key], !lane.isReady, lane.started < lane.job.clips.count else { continue }
      let storage: FloatStorage
      if let held = lane.storage {
        storage = held
      } else {
        // A lane that a thread waits for must not wait for memory that lanes not yet taken hold.
        guard holding < capacity || lane.isAwaited else { continue }
        storage = memory(lane.job.elements)
        holding += 1
      }
      lane.storage = storage
      let piece = Piece(key: key, ticket: lane.ticket, position: lane.started, job: lane.job, storage: storage)
      lane.started += 1
      lanes[key] = lane
      return piece
    }
    return nil
  }

  /// Notes that a clip was decoded, or why not.
  /// - Returns: whether the lane became ready by that.
  mutating func finish(_ piece: Piece, failure: (any Error)?) -> Bool {
    guard var lane = lanes[piece.key], lane.ticket == piece.ticket, !lane.isReady else { return false }
    lane.finished += 1
    lane.failure = failure
    lanes[piece.key] = lane
    return lane.isReady
  }

  /// Whether the lane is ready; nil where it was not asked for, or cancelled.
  func isReady(_ key: LaneKey) -> Bool? { lanes[key]?.isReady }

  /// Someone waits for this lane.
  mutating func await(_ key: LaneKey) { lanes[key]?.isAwaited = true }

  /// Removes a lane that is ready.
  /// - Throws: why one of its clips could not be decoded.
  mutating func remove(_ key: LaneKey) throws -> LaneBatch? {
    guard let lane = lanes[key], lane.isReady else { return nil }
    lanes[key] = nil
    order.removeAll { $0 == key }
    // After a failure other clips may still be written: their memory is not used again.
    if let failure = lane.failure { throw failure }
    return LaneBatch(
      key: key, storage: lane.storage ?? FloatStorage(count: 0), labels: lane.job.clips.map(\.label),
      clips: lane.job.clips.map(\.clip))
  }

  /// Cancels all other lanes.
  mutating func keep(only keys: Set<LaneKey>) {
    for (key, lane) in lanes where !keys.contains(key) {
      if let storage = lane.storage, lane.started == lane.finished { recycle(storage) }
      lanes[key] = nil
    }
    order.removeAll { !keys.contains($0) }
  }

  /// Takes back memory for reuse.
  mutating func recycle(_ storage: FloatStorage) {
    if storage.count > 0 && pool.count <= capacity { pool.append(storage) }
  }

  private mutating func memory(_ count: Int) -> FloatStorage {
    if let place = pool.firstIndex(where: { $0.count >= count }) { return pool.remove(at: place) }
    return FloatStorage(count: count)
  }
}
