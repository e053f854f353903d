// Tracks which buckets of a worker's partial sum are complete while its lanes still compute the others.
import Synchronization

/// Counts the lanes that have added each tensor. Lane threads share it.
package final class BucketTracker: Sendable {
  private struct State {
    /// How many lanes will add each tensor; 0 until that is known.
    var lanes = 0
    var added: [Int]
    /// How many tensors of each bucket are not yet complete.
    var missing: [Int]
    var ready: [Int] = []
  }

  /// The buckets that each tensor overlaps.
  private let buckets: [Range<Int>]
  private let state: Mutex<State>

  /// - Parameters:
  ///   - tensors: the range of each tensor in the vector, in order.
  ///   - bucketValues: elements per bucket, as in `RingSettings`.
  package init(tensors: [Range<Int>], bucketValues: Int) {
    let all = RingPlan.buckets(of: tensors.last?.upperBound ?? 0, bucketValues)
    buckets = tensors.map { range in
      let first = all.firstIndex { $0.upperBound > range.lowerBound } ?? 0
      return range.isEmpty ? 0..<0 : first..<(all.firstIndex { $0.upperBound >= range.upperBound } ?? first) + 1
    }
    state = Mutex(
      State(added: Array(repeating: 0, count: tensors.count), missing: Array(repeating: 0, count: all.count)))
  }

  /// Forgets everything that was added.
  package func reset() {
    state.withLock { state in
      for tensor in state.added.indices { state.added[tensor] = 0 }
      (state.lanes, state.ready) = (0, [])
    }
  }

  /// Sets how many lanes add each tensor, including those that already have.
  package func expect(lanes: Int) {
    state.withLock { state in
      state.lanes = lanes
      for bucket in state.missing.indices { state.missing[bucket] = 0 }
      for (tensor, buckets) in buckets.enumerated() where state.added[tensor] < lanes {
        for bucket in buckets { state.missing[bucket] += 1 }
      }
      state.ready = lanes == 0 ? [] : state.missing.indices.filter { state.missing[$0] == 0 }
    }
  }

  /// Records that a lane has added a tensor.
  /// - Returns: whether this completed a bucket.
  package func added(_ tensor: Int) -> Bool {
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
  package func takeReady() -> [Int] {
    state.withLock { state in
      defer { state.ready = [] }
      return state.ready
    }
  }
}
