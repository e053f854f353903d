// Decodes the clips of coming lanes on threads of its own, while present ones are computed.
import Foundation
import Shared
import VideoData

/// A lane's clips, decoded.
struct LaneBatch: Sendable {
  /// [clips·T, S, S, 3], normalised.
  let input: FloatStorage
  let labels: [Int]
}

/// Lanes are decoded in the order in which they were wanted; a batch is kept until its step is over, as a step may be
/// repeated.
///
/// Sendable because everything that changes is guarded by `condition`.
final class ClipFeed: @unchecked Sendable {
  private struct Key: Hashable {
    let step: UInt64
    let lane: Int
  }

  private let context: RunContext
  private let loader = ClipLoader()
  private let condition = NSCondition()
  private var wanted: [Key] = []
  private var decoding: Set<Key> = []
  private var ready: [Key: Result<LaneBatch, any Error>] = [:]
  private var spare: [FloatStorage] = []

  init(_ context: RunContext, threads: Int) {
    self.context = context
    for number in 0..<threads {
      let thread = Thread { self.work() }
      thread.name = "decode \(number)"
      thread.stackSize = 8 << 20
      thread.start()
    }
  }

  /// Replaces what is to be decoded: the lanes of `steps`, in order. What lies below the first step is forgotten.
  func want(_ steps: [UInt64], lanes: [Int]) {
    condition.lock()
    defer { condition.unlock() }
    let first = steps.first ?? 0
    for (key, result) in ready where key.step < first {
      if case .success(let batch) = result { spare.append(batch.input) }
      ready[key] = nil
    }
    wanted = steps.flatMap { step in lanes.map { Key(step: step, lane: $0) } }.filter {
      ready[$0] == nil && !decoding.contains($0) && !context.clips(step: $0.step, lane: $0.lane).isEmpty
    }
    condition.broadcast()
  }

  /// Waits for a lane's clips.
  /// - Throws: `VideoError` naming the clip that cannot be decoded, also at a second try.
  func take(step: UInt64, lane: Int) throws -> LaneBatch {
    let key = Key(step: step, lane: lane)
    condition.lock()
    defer { condition.unlock() }
    while true {
      if let result = ready[key] { return try result.get() }
      if !decoding.contains(key), wanted.first != key {
        wanted.removeAll { $0 == key }
        wanted.insert(key, at: 0)
        condition.broadcast()
      }
      condition.wait()
    }
  }

  private func work() {
    while true {
      condition.lock()
      while wanted.isEmpty { condition.wait() }
      let key = wanted.removeFirst()
      decoding.insert(key)
      let requests = context.requests(step: key.step, lane: key.lane)
      let count = requests.count * context.form(training: true).clipElements
      let place = spare.firstIndex { $0.count == count }
      let storage = place.map { spare.remove(at: $0) }
      condition.unlock()
      let result = Result { try decode(requests, step: key.step, into: storage ?? FloatStorage(count: count)) }
      condition.lock()
      decoding.remove(key)
      ready[key] = result
      condition.broadcast()
      condition.unlock()
    }
  }

  private func decode(_ requests: [ClipRequest], step: UInt64, into storage: FloatStorage) throws -> LaneBatch {
    let form = context.form(training: true)
    let epoch = context.epoch(of: step)
    for (position, request) in requests.enumerated() {
      let start = position * form.clipElements
      let part = unsafe UnsafeMutableBufferPointer(rebasing: storage.buffer[start..<start + form.clipElements])
      do { unsafe try loader.load(request, form, epoch: epoch, into: part) } catch {
        // Once more: a network file system may have hiccuped.
        unsafe try loader.load(request, form, epoch: epoch, into: part)
      }
    }
    return LaneBatch(input: storage, labels: requests.map(\.label))
  }
}
