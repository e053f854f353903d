// How often, and after which waits, a request is made again.
import Shared

/// The waits between tries of what fails for a passing reason.
public struct Patience: Sendable {
  var waits: [Duration]
  /// The longest wait that a server may ask for.
  var longest: Duration

  public init(waits: [Duration], longest: Duration) {
    self.waits = waits
    self.longest = longest
  }

  /// About a minute, for a command that does nothing else meanwhile.
  public static let minute = Patience(
    waits: [
      .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(30),
    ], longest: .seconds(60))

  /// Some seconds, for training: other workers may take the lane, and the run pauses where nobody can read.
  public static let seconds = Patience(
    waits: [.milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2)], longest: .seconds(10))

  /// One try.
  static let none = Patience(waits: [], longest: .zero)

  /// A try that brought as many bytes counts as a success: the next wait is the first again.
  static let worthwhile: UInt64 = 16_384

  /// Tries until `body` returns.
  /// - Parameter gained: bytes that all tries brought so far, of a download that goes on where it broke off.
  /// - Throws: the last error, if it is none that passes, or after the last wait.
  func attempt<Result>(
    gained: () -> UInt64 = { 0 }, _ body: () throws(RemoteError) -> Result
  ) throws(RemoteError) -> Result {
    var tries = 0
    var before = gained()
    while true {
      do throws(RemoteError) { return try body() } catch {
        if gained() >= before &+ Self.worthwhile { tries = 0 }
        before = gained()
        guard error.isPassing, tries < waits.count else { throw error }
        sleepThread(for: max(waits[tries], min(error.retryAfter ?? .zero, longest)))
        tries += 1
      }
    }
  }
}
