// Decides which clip to decode next, and into which memory. `Prefetcher` has the threads, and waits.
import Shared

/// The lanes that were requested and not yet taken, in that order.
struct LaneQueue {
  /// One clip to decode.
  struct Piece {
    let key: LaneKey
    /// Distinguishes this request from an earlier one for the same lane that was cancelled.
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
    /// How many clips threads have taken, and how many are decoded.
    var started = 0
    var finished = 0
    var failure: (any Error)?
    var isAwaited = false
    var isReady: Bool { failure != nil || finished == job.clips.count }
  }

  /// How many lanes may hold memory before they are taken, not counting those that a thread waits for.
  let capacity: Int
  private var order: [LaneKey] = []
  private var lanes: [LaneKey: Lane] = [:]
  private var pool: [FloatStorage] = []
  private var tickets = 0

  /// Gives new memory.
  private let allocate: (Int) -> FloatStorage

  init(capacity: Int, allocate: @escaping (Int) -> FloatStorage = { FloatStorage(count: $0) }) {
    self.capacity = capacity
    self.allocate = allocate
  }

  /// Adds a lane, unless it is already here.
  mutating func add(_ key: LaneKey, _ job: LaneJob) {
    guard lanes[key] == nil else { return }
    tickets += 1
    order.append(key)
    lanes[key] = Lane(ticket: tickets, job: job)
  }

  /// The next clip to decode: of the earliest lane that has one and may hold memory.
  mutating func next() -> Piece? {
    var holding = lanes.values.count { $0.storage != nil }
    for key in order {
      guard var lane = lanes[key], !lane.isReady, lane.started < lane.job.clips.count else { continue }
      let storage: FloatStorage
      if let held = lane.storage {
        storage = held
      } else {
        // A lane that a thread waits for must not wait for memory held by lanes that nobody takes yet.
        guard holding < capacity || lane.isAwaited else { continue }
        storage = memory(lane.job)
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

  /// Records that a clip was decoded, or why it could not be.
  /// - Returns: whether the lane is now ready.
  mutating func finish(_ piece: Piece, failure: (any Error)?) -> Bool {
    guard var lane = lanes[piece.key], lane.ticket == piece.ticket, !lane.isReady else { return false }
    lane.finished += 1
    lane.failure = failure
    lanes[piece.key] = lane
    return lane.isReady
  }

  /// Whether the lane is ready; nil if it was not requested, or was cancelled.
  func isReady(_ key: LaneKey) -> Bool? { lanes[key]?.isReady }

  /// Records that a thread waits for this lane.
  mutating func await(_ key: LaneKey) { lanes[key]?.isAwaited = true }

  /// Removes a ready lane.
  /// - Throws: the reason why one of its clips could not be decoded.
  mutating func remove(_ key: LaneKey) throws -> LaneBatch? {
    guard let lane = lanes[key], lane.isReady else { return nil }
    lanes[key] = nil
    order.removeAll { $0 == key }
    // After a failure threads may still write other clips, so the memory is not reused.
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

  /// Takes memory back for reuse.
  mutating func recycle(_ storage: FloatStorage) {
    if storage.count > 0 && pool.count <= capacity { pool.append(storage) }
  }

  private mutating func memory(_ job: LaneJob) -> FloatStorage {
    if let place = pool.firstIndex(where: { $0.count >= job.elements }) { return pool.remove(at: place) }
    return allocate(max(job.elements, job.room))
  }
}
