// What faults do, and the places in the protocol at which they wait.
import CoordinatorCore
import Ring
import Shared
import WorkerCore

extension World {
  /// Something notable happens in the protocol: a fault may wait for it.
  func moment(_ moment: Moment, _ pid: Int?) {
    guard !armed.isEmpty else { return }
    for (number, fault) in scenario.faults.enumerated() {
      guard case .moment(moment, _) = fault.trigger, let left = armed[number] else { continue }
      armed[number] = left > 1 ? left - 1 : nil
      if left == 1 { strike(fault, subject: pid) }
    }
  }

  private func victim(_ fault: ScheduledFault, _ subject: Int?) -> SimulatedWorker? {
    if fault.strikesSubject, let subject { return workers[subject].isAlive ? workers[subject] : nil }
    let alive = workers.filter { $0.isAlive && $0.pid != subject }
    return alive.first { $0.identity.rank == fault.rank } ?? alive.first
  }

  func strike(_ fault: ScheduledFault, subject: Int?) {
    statistics.faults += 1
    quietSince = max(quietSince, now)
    let victim = victim(fault, subject)
    log("fault \(fault.harm) strikes \(victim.map { "worker \($0.identity.rank), process \($0.pid)" } ?? "nobody")")
    func lasts(_ duration: Nanoseconds) -> Nanoseconds {
      quietSince = max(quietSince, now + duration)
      return now + duration
    }
    switch fault.harm {
    case .crash: if let victim { end(victim, "killed") }
    case .pause(let duration): if let victim { victim.pausedUntil = lasts(duration) }
    case .hang:
      // One behind ssh could be ended only by its host's own people.
      guard scenario.launch == .local else { return }
      // One that never took part is not missed.
      if let victim, victim.session.generation != nil { victim.isHung = true }
    case .flipSum: victim?.flips = .sum
    case .flipPartial: victim?.flips = .partial
    case .mistakeClip: victim?.flips = .clip
    case .cutFromCoordinator(let duration):
      if let victim { cuts.append(Cut(ranks: (victim.identity.rank, -1), oneWay: false, until: lasts(duration))) }
    case .cutFromPeer(let duration, let oneWay):
      guard let victim, let peer = workers.first(where: { $0.isAlive && $0.pid != victim.pid }) else { return }
      cuts.append(
        Cut(ranks: (victim.identity.rank, peer.identity.rank), oneWay: oneWay, until: lasts(duration)))
    case .crashCoordinator(let down): crashCoordinator(down)
    case .pauseCoordinator(let duration): if coordinator != nil { coordinatorPausedUntil = lasts(duration) }
    case .interrupt(let down):
      guard let coordinator else { return }
      coordinator.interrupt(down: down)
      // The person loses patience.
      schedule(.interruptAgain, node: Self.coordinatorNode, life: coordinatorLives, at: lasts(20_000.milliseconds))
    case .crashAll: for worker in workers { end(worker, "killed with all others") }
    case .powerCut(let down):
      for worker in workers { end(worker, "power cut") }
      crashCoordinator(down)
    case .leave:
      guard let victim else { return }
      schedule(.askedToLeave(again: false), node: victim.pid, at: now)
      schedule(.askedToLeave(again: true), node: victim.pid, at: lasts(10_000.milliseconds))
    case .dataLost(let duration, let blocks, let everywhere):
      guard everywhere || victim != nil else { return }
      blindness.append(
        Blindness(rank: everywhere ? nil : victim?.identity.rank, blocks: blocks, until: lasts(duration)))
    case .deadConnection(let heartbeat):
      guard let victim else { return }
      deadConnections.insert(
        DeadConnection(
          pid: victim.pid,
          channel: heartbeat ? .heartbeat(victim.heartbeatConnection) : .control(victim.connection)))
    case .join:
      guard extraRanks < 2 else { return }
      extraRanks += 1
      _ = startWorker(scenario.ranks + extraRanks - 1)
    }
  }

  // MARK: Data

  /// Whether reads of a rank's data fail.
  func isBlind(_ rank: Int) -> Bool {
    blindness.removeAll { $0.until <= now }
    return blindness.contains { $0.rank == nil || $0.rank == rank }
  }

  /// Until when a rank's reads do not return.
  func blockedUntil(_ rank: Int) -> Nanoseconds? {
    guard isBlind(rank) else { return nil }
    return blindness.filter { $0.blocks && ($0.rank == nil || $0.rank == rank) }.map(\.until).max()
  }
}
