// Whether a connection to the coordinator still carries anything. A connection can be taken over, or dropped by a
// firewall, without a word: only silence shows it.

/// The newest of a row of connections, each of which gets a number of its own.
package struct LinkLiveness: Sendable {
  /// After so long a silence the connection is replaced.
  package var limit = Duration.seconds(3)
  private(set) package var lastHeard = Duration.zero
  private var made = Duration.zero
  private var number = 0
  /// Connections that were made since anything was heard.
  private var unheard = 0

  package init() {}

  package mutating func heard(at now: Duration) {
    lastHeard = now
    unheard = 0
  }

  /// Each connection in a row gets twice the time of the one before, up to four times `limit`: on a slow path the
  /// answer may take longer than `limit`, and would never come if its connection were always dropped first.
  /// - Returns: the number of the connection to make now, if the present one is taken for dead.
  package mutating func reconnect(at now: Duration) -> Int? {
    guard now - max(lastHeard, made) > limit * (1 << min(unheard, 2)) else { return nil }
    made = now
    unheard += 1
    number += 1
    return number
  }
}
