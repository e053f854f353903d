// Runs independent blocks of work on several threads.
import Dispatch
import Synchronization

enum Parallel {
  /// Calls `body(block, thread)` once for each block, on the caller and up to `threads` − 1 other threads, and returns
  /// when all blocks are done. Two calls with the same thread number never overlap.
  static func forEach(_ blocks: Int, threads: Int, _ body: (Int, Int) -> Void) {
    let count = min(threads, blocks)
    if count <= 1 {
      for block in 0..<blocks { body(block, 0) }
      return
    }
    let next = Atomic<Int>(0)
    withoutActuallyEscaping(body) { body in
      // Blocks touch disjoint memory, and `concurrentPerform` returns only when all are done.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: count) { thread in
        while true {
          let block = next.wrappingAdd(1, ordering: .relaxed).oldValue
          if block >= blocks { return }
          unsafe body(block, thread)
        }
      }
    }
  }
}
