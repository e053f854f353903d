// What a membership is doing, with the data that exist only while it does that.
import Shared
import Wire

extension Membership {
  package enum Phase: Equatable {
    /// The coordinator was restarted, and waits for the workers that may have gone on without it.
    case recovering(until: Duration, reports: [Int: StateReport])
    /// Waiting for the workers of the hosts file.
    case gathering
    /// Waiting for everybody's state report.
    case halting(Halt)
    /// Waiting until everybody holds the state before a step.
    case preparing(Preparation)
    /// - Parameter reports: of the members that are at a boundary, by rank.
    case running(reports: [Int: StateReport])
    /// All wait before step `next`: no member can read its data, or the state is evaluated.
    case paused(next: UInt64)
    /// Every member is before step `next` and trains no further.
    case stopped(next: UInt64)
  }

  /// A generation is being made: everybody stops and reports its state.
  package struct Halt: Equatable {
    let reason: String
    /// The ranks of the generation.
    let participants: [Int]
    /// By rank.
    var reports: [Int: StateReport] = [:]
  }

  /// A generation is being made: everybody gets the state before `step`.
  package struct Preparation: Equatable {
    struct Transfer: Equatable {
      var source: StateSource
      var since: Duration
    }

    let reason: String
    /// The ranks of the generation.
    let participants: [Int]
    let step: UInt64
    /// By rank.
    var reports: [Int: StateReport]
    /// Where each rank takes the state from, once that is decided.
    var transfers: [Int: Transfer] = [:]
    /// The digests of the states that ranks hold now.
    var prepared: [Int: Digest128] = [:]

    init(_ halt: Halt, step: UInt64) {
      reason = halt.reason
      participants = halt.participants
      reports = halt.reports
      self.step = step
    }
  }
}

extension Membership.Phase {
  var isRunning: Bool { if case .running = self { true } else { false } }

  /// The ranks of the generation that is being made.
  var participants: [Int] {
    switch self {
    case .halting(let halt): halt.participants
    case .preparing(let preparation): preparation.participants
    case .recovering, .gathering, .running, .paused, .stopped: []
    }
  }

  mutating func take(_ report: StateReport, from rank: Int) { changeReports { $0[rank] = report } }

  /// The worker of this rank is gone.
  mutating func remove(_ rank: Int) {
    changeReports { $0[rank] = nil }
    guard case .preparing(var preparation) = self else { return }
    preparation.transfers[rank] = nil
    preparation.prepared[rank] = nil
    self = .preparing(preparation)
  }

  private mutating func changeReports(_ change: (inout [Int: StateReport]) -> Void) {
    switch self {
    case .recovering(let until, var reports):
      change(&reports)
      self = .recovering(until: until, reports: reports)
    case .halting(var halt):
      change(&halt.reports)
      self = .halting(halt)
    case .preparing(var preparation):
      change(&preparation.reports)
      self = .preparing(preparation)
    case .running(var reports):
      change(&reports)
      self = .running(reports: reports)
    case .gathering, .paused, .stopped: break
    }
  }
}

extension Membership.Phase: CustomStringConvertible {
  package var description: String {
    switch self {
    case .recovering(let until, _): "recovering until \(seconds(until)) s"
    case .gathering: "gathering"
    case .halting: "halting"
    case .preparing(let preparation): "preparing step \(preparation.step)"
    case .running: "running"
    case .paused(let next): "paused before step \(next)"
    case .stopped(let next): "stopped before step \(next)"
    }
  }
}
