// Which buckets of a worker's partial sum are complete, while its lanes are still computing the others.
import Synchronization

/// Counts the lanes that have added each tensor. Lane threads share it.
final class BucketTracker: Sendable {
  private struct State {
    /// Lanes that are to add each tensor; 0 until they are known.
    var lanes = 0
    var added: [Int]
    /// Tensors of each bucket that some lane has still to add.
    var missing: [Int]
    var ready: [Int] = []
  }

  /// The buckets that a tensor's elements lie in.
  private let buckets: [Range<Int>]
  private let state: Mutex<State>

  /// - Parameters:
  ///   - tensors: each tensor's elements in the vector, in order.
  ///   - bucketValues: elements of a bucket, as in `RingSettings`.
  init(tensors: [Range<Int>], bucketValues: Int) {
    let all = RingPlan.buckets(of: tensors.last?.upperBound ?? 0, bucketValues)
    buckets = tensors.map { range in
      let first = all.firstIndex { $0.upperBound > range.lowerBound } ?? 0
      return range.isEmpty ? 0..<0 : first..<(all.firstIndex { $0.upperBound >= range.upperBound } ?? first) + 1
    }
    state = Mutex(
      State(added: Array(repeating: 0, count: tensors.count), missing: Array(repeating: 0, count: all.count)))
  }

  /// Nothing has been added.
  func reset() {
    state.withLock { state in
      for tensor in state.added.indices { state.added[tensor] = 0 }
      (state.lanes, state.ready) = (0, [])
    }
  }

  /// So many lanes add each tensor, those that have done so included.
  func expect(lanes: Int) {
    state.withLock { state in
      state.lanes = lanes
      for bucket in state.missing.indices { state.missing[bucket] = 0 }
      for (tensor, buckets) in buckets.enumerated() where state.added[tensor] < lanes {
        for bucket in buckets { state.missing[bucket] += 1 }
      }
      state.ready = lanes == 0 ? [] : state.missing.indices.filter { state.missing[$0] == 0 }
    }
  }

  /// A lane has added a tensor.
  /// - Returns: whether that completed a bucket.
  func added(_ tensor: Int) -> Bool {
    state.withLock { state in
      state.added[tensor] += 1
      guard state.added[tensor] == state.lanes else { return false }
      let before = state.ready.count
      for bucket in buckets[tensor] {
        state.missing[bucket] -= 1
        if state.missing[bucket] == 0 { state.ready.append(bucket) }
      }
      return state.ready.count > before
    }
  }

  /// The buckets that were completed since the last call.
  func takeReady() -> [Int] {
    state.withLock { state in
      defer { state.ready = [] }
      return state.ready
    }
  }
}
