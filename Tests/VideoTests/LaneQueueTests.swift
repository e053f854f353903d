import Shared
import Testing

@testable import Video

/// A reference to a queue: expectations cannot hold mutating calls.
private final class QueueBox {
  private var queue: LaneQueue

  init(capacity: Int) { queue = LaneQueue(capacity: capacity) }
  func add(_ key: LaneKey, _ job: LaneJob) { queue.add(key, job) }
  func next() -> LaneQueue.Piece? { queue.next() }
  func finish(_ piece: LaneQueue.Piece, failure: (any Error)?) -> Bool { queue.finish(piece, failure: failure) }
  func isReady(_ key: LaneKey) -> Bool? { queue.isReady(key) }
  func await(_ key: LaneKey) { queue.await(key) }
  func remove(_ key: LaneKey) throws -> LaneBatch? { try queue.remove(key) }
  func keep(only keys: Set<LaneKey>) { queue.keep(only: keys) }
  func recycle(_ storage: FloatStorage) { queue.recycle(storage) }
}

@Suite struct LaneQueueTests {
  private func job(_ clips: Int) -> LaneJob {
    let requests = (0..<clips).map {
      ClipRequest(
        path: "absent-\($0)", clip: $0, label: $0, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
    }
    return LaneJob(clips: requests, form: ClipForm(frames: 2, size: 4, training: true, seed: 1), epoch: 0)
  }

  @Test("lanes of other sizes use one another's memory where their jobs say how much any of them needs")
  func room() throws {
    let queue = QueueBox(capacity: 1)
    var memory: Set<Int> = []
    for (step, clips) in [1, 4, 2, 4].enumerated() {
      var job = job(clips)
      job.room = 4 * job.form.clipElements
      let key = LaneKey(step: step, lane: 0)
      queue.add(key, job)
      for _ in 0..<clips { _ = queue.finish(try #require(queue.next()), failure: nil) }
      let storage = try #require(try queue.remove(key)).storage
      memory.insert(Int(bitPattern: storage.base))
      queue.recycle(storage)
    }
    #expect(memory.count == 1)
  }

  private func key(_ lane: Int) -> LaneKey { LaneKey(step: 0, lane: lane) }

  @Test("clips are handed out in the order of requests, up to the capacity, and an awaited lane beyond it")
  func order() throws {
    let queue = QueueBox(capacity: 1)
    queue.add(key(0), job(2))
    queue.add(key(1), job(1))
    queue.add(key(0), job(5))
    let first = try #require(queue.next())
    let second = try #require(queue.next())
    #expect([first.key, second.key] == [key(0), key(0)] && [first.position, second.position] == [0, 1])
    #expect(queue.next() == nil)
    queue.await(key(1))
    #expect(queue.next()?.key == key(1))
    #expect(queue.finish(second, failure: nil) == false)
    #expect(queue.isReady(key(0)) == false)
    #expect(queue.finish(first, failure: nil))
    #expect(try queue.remove(key(0))?.labels == [0, 1])
    #expect(queue.isReady(key(0)) == nil)
  }

  @Test("a cancelled lane's late clips do not count for a new request of the same lane")
  func cancel() throws {
    let queue = QueueBox(capacity: 2)
    queue.add(key(0), job(1))
    let old = try #require(queue.next())
    queue.keep(only: [])
    queue.add(key(0), job(1))
    #expect(queue.finish(old, failure: nil) == false)
    #expect(queue.isReady(key(0)) == false)
    let new = try #require(queue.next())
    #expect(new.storage !== old.storage)
    #expect(queue.finish(new, failure: nil))
  }

  @Test("memory that was given back is used again")
  func memory() throws {
    let queue = QueueBox(capacity: 1)
    queue.add(key(0), job(1))
    let piece = try #require(queue.next())
    #expect(queue.finish(piece, failure: nil))
    let batch = try #require(try queue.remove(key(0)))
    queue.recycle(batch.storage)
    queue.add(key(1), job(1))
    #expect(queue.next()?.storage === batch.storage)
  }

  @Test("the first failure makes the lane ready, and is what taking it throws")
  func failure() throws {
    let queue = QueueBox(capacity: 1)
    queue.add(key(0), job(3))
    let piece = try #require(queue.next())
    #expect(queue.finish(piece, failure: VideoError(path: "a", operation: "open", cause: "b")))
    #expect(throws: VideoError.self) { try queue.remove(key(0)) }
  }

  @Test("a lane without clips is ready at once")
  func empty() throws {
    let queue = QueueBox(capacity: 1)
    queue.add(key(0), job(0))
    #expect(queue.isReady(key(0)) == true)
    #expect(queue.next() == nil)
    #expect(try queue.remove(key(0))?.clips.isEmpty == true)
  }
}
