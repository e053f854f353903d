// Counts refused messages, so that a flood of them becomes one line of log a second.

/// Counts refused messages by kind. It gives a line to log at most once a second.
public struct RefusalCounter: Sendable {
  private var counts: [String: Int] = [:]
  private var reasons: [String: String] = [:]
  private var logged: Duration?

  public init() {}

  /// - Returns: a line to log now, if one is due.
  public mutating func count(_ kind: String, _ reason: String, at now: Duration) -> String? {
    counts[kind, default: 0] += 1
    reasons[kind] = reason
    return summary(at: now).first
  }

  /// The messages refused since the last summary, if that was at least a second ago.
  public mutating func summary(at now: Duration) -> [String] {
    guard !counts.isEmpty, logged.map({ now - $0 >= .seconds(1) }) ?? true else { return [] }
    logged = now
    defer { (counts, reasons) = ([:], [:]) }
    let lines = counts.sorted { $0.key < $1.key }.map { kind, count in
      "refused \(count) \(kind) message\(count == 1 ? "" : "s"), the last: \(reasons[kind] ?? "")"
    }
    return [lines.joined(separator: "; ")]
  }
}
