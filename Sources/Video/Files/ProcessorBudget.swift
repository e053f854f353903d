// Ends the work on a clip that takes too long.
import Glibc

/// The processor time that one thread may spend on a clip. It belongs to the thread that makes it.
///
/// Time that a slow disk takes, or other processes, does not count: what is refused here would be refused on any host
/// of the same speed.
final class ProcessorBudget {
  let seconds: Double
  private let end: Double
  /// The time is not up before this. No thread computes for longer than passes on the wall, whose clock costs less.
  private var nextLook: Double
  /// Whether the time was up when it was last looked at.
  private(set) var isSpent = false

  init(seconds: Double) {
    self.seconds = seconds
    end = ProcessorBudget.computed + seconds
    nextLook = ProcessorBudget.wall + seconds
  }

  /// Looks at the clock.
  /// - Returns: whether there is time left.
  func goesOn() -> Bool {
    guard !isSpent else { return false }
    let wall = ProcessorBudget.wall
    if wall >= nextLook {
      let left = end - ProcessorBudget.computed
      isSpent = left < 0
      nextLook = wall + left
    }
    return !isSpent
  }

  /// Seconds that this thread has computed.
  private static var computed: Double { seconds(CLOCK_THREAD_CPUTIME_ID) }
  private static var wall: Double { seconds(CLOCK_MONOTONIC) }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
