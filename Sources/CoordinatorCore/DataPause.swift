// The pause of a training that waits because no worker can read its data.

struct DataPause {
  /// Before this coordinator's start, if an earlier one began it.
  let since: Duration
  private(set) var isJournaled = false
  private var reported: Duration?

  init(since: Duration) { self.since = since }

  /// A pause that is in the journal since `elapsed` before this coordinator's start.
  init(elapsed: Duration) {
    since = .zero - elapsed
    isJournaled = true
  }

  mutating func journal() { isJournaled = true }

  /// Whether a person is to be told now, as once a minute.
  mutating func takeReport(at now: Duration) -> Bool {
    guard reported.map({ now - $0 >= .seconds(60) }) ?? true else { return false }
    reported = now
    return true
  }
}
