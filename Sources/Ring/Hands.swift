// Pieces of work that do not touch one another, on as many threads as have nothing else to do.
import Dispatch
import Synchronization

enum Hands {
  /// Calls `body(piece, hand)` for each piece, on the caller and on up to `hands` − 1 other threads; returns when all are
  /// done. One hand does one piece at a time.
  static func share(_ pieces: Int, among hands: Int, _ body: (Int, Int) -> Void) {
    let count = min(hands, pieces)
    if count <= 1 {
      for piece in 0..<pieces { body(piece, 0) }
      return
    }
    let next = Atomic<Int>(0)
    withoutActuallyEscaping(body) { body in
      // The pieces keep out of one another's way, and all are done before this returns.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: count) { hand in
        while true {
          let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
          if piece >= pieces { return }
          unsafe body(piece, hand)
        }
      }
    }
  }
}
