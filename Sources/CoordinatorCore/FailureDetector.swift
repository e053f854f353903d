// Which workers are alive, as far as heartbeats, connections and progress show it. What follows from that is decided in
// `Membership+Failures.swift`.
import Shared
import Wire

struct FailureDetector {
  /// What is known of one worker.
  struct Vitals {
    /// When its last message came.
    fileprivate(set) var heard: Duration
    fileprivate(set) var progress = Progress()
    /// When `progress` last changed, or began to be expected to.
    fileprivate(set) var moved: Duration
    fileprivate(set) var isSuspected = false
    /// When a neighbour saw the connection to it end, if it has not been heard since.
    fileprivate(set) var closed: Duration?
    /// The process here through which it was started has ended.
    fileprivate(set) var isLauncherGone = false
  }

  enum Finding {
    case alive
    /// Silent for a while. Reported once.
    case suspected(silence: Duration, isNew: Bool)
    case silent(isLauncherGone: Bool)
    /// Silent since a neighbour saw its connection end.
    case disconnected
  }

  private let suspectAfter: Duration
  private let evictAfter: Duration
  private let closedAfter: Duration
  private let hangAfter: Duration
  private var vitals: [Int: Vitals] = [:]
  private var ticked: Duration?

  init(_ settings: Membership.Settings) {
    suspectAfter = settings.suspectAfter
    evictAfter = settings.evictAfter
    closedAfter = settings.closedAfter
    hangAfter = settings.hangAfter
  }

  subscript(rank: Int) -> Vitals? { vitals[rank] }

  mutating func add(_ rank: Int, at now: Duration) { vitals[rank] = Vitals(heard: now, moved: now) }

  mutating func remove(_ rank: Int) { vitals[rank] = nil }

  /// - Returns: whether the worker was suspected.
  mutating func heartbeat(_ rank: Int, _ progress: Progress, at now: Duration) -> Bool {
    guard var known = vitals[rank] else { return false }
    defer { vitals[rank] = known }
    let wasSuspected = known.isSuspected
    (known.heard, known.closed, known.isSuspected) = (now, nil, false)
    if known.progress != progress { (known.progress, known.moved) = (progress, now) }
    return wasSuspected
  }

  mutating func connectionClosed(to rank: Int, at now: Duration) {
    if vitals[rank]?.closed == nil { vitals[rank]?.closed = now }
  }

  mutating func tick(at now: Duration) { ticked = now }

  mutating func launcherEnded(_ rank: Int) { vitals[rank]?.isLauncherGone = true }

  /// These workers have something to do from now on: a hang is counted from here.
  mutating func expectProgress(of ranks: [Int], at now: Duration) {
    for rank in ranks { vitals[rank]?.moved = now }
  }

  /// A coordinator that was itself paused has heard nobody, which is not the workers' fault.
  /// - Returns: how long it was paused.
  mutating func forgiveOwnPause(at now: Duration) -> Duration {
    guard let before = ticked, now - before > suspectAfter else { return .zero }
    ticked = now
    let pause = now - before
    for rank in vitals.keys {
      vitals[rank]?.heard += pause
      vitals[rank]?.moved += pause
    }
    return pause
  }

  mutating func check(_ rank: Int, at now: Duration) -> Finding {
    guard let known = vitals[rank] else { return .alive }
    if let closed = known.closed, now - closed > closedAfter { return .disconnected }
    let silence = now - known.heard
    if silence > evictAfter { return .silent(isLauncherGone: known.isLauncherGone) }
    guard silence > suspectAfter else { return .alive }
    vitals[rank]?.isSuspected = true
    return .suspected(silence: silence, isNew: !known.isSuspected)
  }

  func isHeard(_ rank: Int, at now: Duration) -> Bool {
    vitals[rank].map { now - $0.heard <= suspectAfter } ?? false
  }

  /// Its progress has not changed for so long that it hangs, if it has something to do.
  func isStuck(_ rank: Int, at now: Duration) -> Bool {
    vitals[rank].map { now - $0.moved > hangAfter } ?? false
  }
}
