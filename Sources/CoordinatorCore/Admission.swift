// Who may join: which processes are fenced, which must wait before they come back, and who holds a disputed rank.
import Shared
import Wire

struct Admission {
  /// Processes that may not come back.
  private var fenced: Set<WorkerIdentity> = []
  /// Processes that may come back after a time, and how often they were sent away.
  private var backoff: [WorkerIdentity: (until: Duration, times: Int)] = [:]
  /// By rank, the process that was evicted for its silence, and when. It may come back until it is replaced.
  private var unreachable: [Int: (identity: WorkerIdentity, since: Duration)] = [:]
  /// Newcomers whose rank another process holds, and since when they ask.
  private var claims: [WorkerIdentity: Duration] = [:]
  /// Workers of the last generation that may be alive, and have not been heard since the coordinator was restarted.
  private(set) var expected: Set<WorkerIdentity>

  init(expected: Set<WorkerIdentity>) { self.expected = expected }

  func isFenced(_ identity: WorkerIdentity) -> Bool { fenced.contains(identity) }

  func mustWait(_ identity: WorkerIdentity, at now: Duration) -> Bool {
    backoff[identity].map { now < $0.until } ?? false
  }

  mutating func fence(_ identity: WorkerIdentity) { fenced.insert(identity) }

  mutating func sendAway(_ identity: WorkerIdentity, at now: Duration) {
    let times = (backoff[identity]?.times ?? 0) + 1
    backoff[identity] = (now + .seconds(10 << min(times - 1, 6)), times)
  }

  mutating func evict(_ identity: WorkerIdentity, at now: Duration) { unreachable[identity.rank] = (identity, now) }

  /// A worker takes its rank.
  /// - Returns: the process that was expected to come back to this rank, and is fenced now.
  mutating func admit(_ identity: WorkerIdentity) -> WorkerIdentity? {
    claims[identity] = nil
    guard let before = unreachable.removeValue(forKey: identity.rank)?.identity, before != identity else { return nil }
    fence(before)
    return before
  }

  /// The process of this rank ended: it does not come back.
  mutating func processEnded(_ rank: Int) { unreachable[rank] = nil }

  /// Fences the processes that did not come back in time, and returns them by rank.
  mutating func takeOverdue(after limit: Duration, at now: Duration) -> [WorkerIdentity] {
    let overdue = unreachable.filter { now - $0.value.since > limit }.sorted { $0.key < $1.key }.map(\.value.identity)
    for identity in overdue {
      unreachable[identity.rank] = nil
      fence(identity)
    }
    return overdue
  }

  // MARK: Disputed ranks

  enum Claim {
    /// It is not clear yet whether the rank's holder is alive.
    case undecided
    case refused
    /// The holder is silent for too long.
    case granted
  }

  /// A process asks for a rank that another holds.
  /// - Parameter heard: when the holder was last heard.
  mutating func claim(
    _ identity: WorkerIdentity, heard: Duration, silence limit: Duration, at now: Duration
  ) -> Claim {
    let since = claims[identity] ?? now
    claims[identity] = since
    if heard > since {
      claims[identity] = nil
      return .refused
    }
    return now - max(since, heard) >= limit ? .granted : .undecided
  }

  // MARK: After a restart of the coordinator

  /// A worker that was expected is known not to be alive.
  /// - Returns: whether it was expected.
  mutating func stopExpecting(_ identity: WorkerIdentity) -> Bool { expected.remove(identity) != nil }

  mutating func stopExpectingAnybody() { expected = [] }
}
