// How threads hand their results to an event loop.
import Synchronization

/// Results that any thread puts in, and an event loop takes out.
public final class Mailbox<Element: Sendable>: Sendable {
  private let results = Mutex<[Element]>([])
  private let wake: @Sendable () -> Void

  /// - Parameter wake: called after each delivery; the loop then calls `take`.
  public init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  public func put(_ new: [Element]) {
    results.withLock { $0 += new }
    wake()
  }

  /// What came since the last call, in order.
  public func take() -> [Element] {
    results.withLock { list in
      defer { list = [] }
      return list
    }
  }
}
