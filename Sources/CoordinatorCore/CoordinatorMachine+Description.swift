// A coordinator's state as a table, for whoever looks for a fault.
import Shared
import Wire

extension CoordinatorMachine: CustomStringConvertible {
  /// A few lines about the run, and one for each worker.
  package var description: String {
    let position = membership.position
    var lines = [["phase", "\(membership.phase)"]]
    if let generation = membership.generation {
      let ring = generation.members.map { "\($0.identity.rank)" }.joined(separator: " → ")
      lines.append(["generation", "\(generation.number) from step \(generation.startStep), ring \(ring)"])
    }
    if let reason = membership.phase.reason { lines.append(["making", "\(membership.number): \(reason)"]) }
    let journaled = unwritten.first?.record.step ?? collector.next
    lines.append([
      "steps", "committed \(position.committed), recorded \(position.recorded), journaled \(journaled)",
    ])
    lines.append(["checkpoint", checkpointDescription])
    if !membership.directives.pending.isEmpty {
      let pending = membership.directives.pending.map { "\($0.sequence) \($0.kind.rawValue)" }
      lines.append(["directives", pending.joined(separator: ", ")])
    }
    if ending != .none { lines.append(["ending", "\(ending)"]) }
    let workers = membership.table(heldStates, at: now)
    return TextTable(lines).description + (workers.isEmpty ? "" : "\n\(TextTable(workers))")
  }

  private var checkpointDescription: String {
    let newest = membership.checkpoint.map { "step \($0)" } ?? "none"
    guard let handover else { return newest }
    let stage =
      switch handover.stage {
      case .fetching: "fetching"
      case .fetched: "fetched"
      case .writing: "writing"
      }
    return "\(newest); \(stage) step \(handover.step) of \(handover.from)"
  }
}

extension Membership.Phase {
  /// Why a generation is being made, if one is.
  fileprivate var reason: String? {
    switch self {
    case .halting(let halt): halt.reason
    case .preparing(let preparation): preparation.reason
    case .recovering, .gathering, .running, .paused, .stopped: nil
    }
  }
}

extension Membership {
  /// A row for each worker below the columns' names; nothing where there is no worker.
  fileprivate func table(
    _ held: [WorkerIdentity: (step: UInt64, digest: Digest128)], at now: Duration
  ) -> [[String]] {
    let columns = ["rank", "incarnation", "phase", "step", "lanes", "done", "silence", "state", "remarks"]
    let rows = all.map { worker in
      let (rank, vitals) = (worker.identity.rank, detector[worker.identity.rank])
      let lanes = generation?.members.first { $0.identity == worker.identity }?.lanes
      return [
        "\(rank)", "\(worker.identity.incarnation)", vitals?.progress.phase.rawValue ?? "",
        "\(vitals?.progress.step ?? 0)", lanes.map(laneList) ?? "-", "\(vitals?.progress.lanesDone ?? 0)",
        vitals.map { "\(seconds(now - $0.heard)) s" } ?? "-", state(of: worker, held[worker.identity]),
        remarks(on: worker),
      ]
    }
    return rows.isEmpty ? [] : [columns] + rows
  }

  /// The digest of the state that it reported for the generation being made, or for the evaluation.
  private func state(of worker: Worker, _ held: (step: UInt64, digest: Digest128)?) -> String {
    let digest: Digest128? =
      switch phase {
      case .preparing(let preparation): preparation.prepared[worker.identity.rank]
      case .paused(let next), .stopped(let next): held.flatMap { $0.step == next ? $0.digest : nil }
      case .recovering, .gathering, .halting, .running: nil
      }
    return digest.map { String("\($0)".prefix(8)) } ?? "-"
  }

  private func remarks(on worker: Worker) -> String {
    var remarks: [String] = []
    if !worker.isReady {
      remarks.append("not ready")
    } else if !isMember(worker.identity) {
      remarks.append("no member")
    }
    if detector[worker.identity.rank]?.isSuspected == true { remarks.append("suspected") }
    if worker.isStale { remarks.append("stale") }
    if worker.isLeaving { remarks.append("leaving") }
    if let lost = worker.dataLost { remarks.append("no data: \(lost)") }
    return remarks.joined(separator: ", ")
  }
}

private func laneList(_ lanes: [Int]) -> String {
  lanes.isEmpty ? "-" : lanes.map(String.init).joined(separator: " ")
}
