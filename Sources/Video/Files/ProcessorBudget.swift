// Ends the work on a clip that takes too long.
import Glibc

/// The processor time that one thread may spend on a clip. It belongs to the thread that makes it.
///
/// Time that a slow disk takes, or other processes, does not count: what is refused here would be refused on any host of
/// the same speed.
final class ProcessorBudget {
  let seconds: Double
  private let end: Double
  /// Whether the time was up when it was last looked at.
  private(set) var isSpent = false

  init(seconds: Double) {
    self.seconds = seconds
    end = ProcessorBudget.now + seconds
  }

  /// Looks at the clock.
  /// - Returns: whether there is time left.
  func goesOn() -> Bool {
    if !isSpent, ProcessorBudget.now > end { isSpent = true }
    return !isSpent
  }

  /// Seconds that this thread has computed.
  private static var now: Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
