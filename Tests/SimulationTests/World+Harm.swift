// What faults do, and the places in the protocol at which they wait.
import CoordinatorCore
import Ring
import Shared
import Wire
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
    case .flipState: victim?.flips = .state
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
      coordinator?.downAfterwards = down
      // The person loses patience.
      for time in [now, lasts(20_000.milliseconds)] {
        schedule(.interrupt, node: Self.coordinatorNode, life: coordinatorLives, at: time)
      }
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
        Blindness(
          rank: everywhere ? nil : victim?.identity.rank, blocks: blocks, since: now,
          until: lasts(duration)))
    case .deadConnection(let heartbeat):
      guard let victim else { return }
      deadConnections.insert(
        DeadConnection(
          pid: victim.pid,
          channel: heartbeat ? .heartbeat(victim.heartbeatConnection) : .control(victim.connection)))
    case .hostDown(let duration):
      outages.append(Outage(rank: fault.rank, until: lasts(duration)))
      for worker in workers where worker.identity.rank == fault.rank { end(worker, "its host is down") }
    case .spoilCopy: victim?.spoilsCopy = true
    case .diskFull(let duration): diskFullUntil = max(diskFullUntil, lasts(duration))
    case .stranger(let choice): sendStrangeMessages(choice)
    case .join:
      guard extraRanks < 2 else { return }
      extraRanks += 1
      _ = startWorker(scenario.ranks + extraRanks - 1)
    }
  }

  // MARK: Strangers

  /// Whatever these say is refused: some cannot be, the others come from nobody that is known.
  private func sendStrangeMessages(_ choice: UInt64) {
    var random = SplitMix64(choice)
    func come(_ message: WorkerMessage, from worker: WorkerIdentity) {
      guard random.chance(500) else { return }
      queue.add(
        Envelope(
          node: Self.coordinatorNode,
          event: .fromWorker(Sender(worker: worker, channel: .control(0)), message)),
        at: now + Nanoseconds(random.below(1_000_000)))
    }
    let number = disk.generations.last?.number ?? 0
    let next = disk.nextStep
    let wrong = Digest128(high: choice, low: 1)
    func record(_ step: UInt64) -> CommitRecord {
      CommitRecord(
        generation: number, step: step, attempt: 0, digest: wrong, weights: wrong, after: wrong, loss: 0, top1: 0,
        top5: 0, clips: 1, learningRate: 0, skipped: false, share: .init(lanes: [0]))
    }
    func fault(_ kind: Fault.Kind, _ status: ExitStatus = .failed) -> WorkerMessage {
      .fault(Fault(kind: kind, generation: number, step: next, text: "strange", status: status))
    }
    let alive = workers.filter(\.isAlive)
    if let known = alive.isEmpty ? nil : alive[random.below(alive.count)].identity {
      come(.standing(StateReport(generation: number, next: .max)), from: known)
      come(.standing(StateReport(generation: number, next: next, held: [-1, 0, 1])), from: known)
      come(.committed(record(1_000_000)), from: known)
      come(.prepared(generation: number, step: .max, weights: wrong), from: known)
      come(fault(.other, .done), from: known)
      come(fault(.corruption(ranks: [-1])), from: known)
      come(.checkpointReady(step: .max, blobs: []), from: known)
    }
    let stranger = WorkerIdentity(rank: random.below(scenario.ranks), incarnation: 1 + random.next() >> 40)
    let past = Hello.Past(run: Self.run, number: number, next: next, acknowledged: 1_000_000)
    come(
      .hello(
        Hello(
          host: "elsewhere", pid: 1, threads: 1, endpoint: Self.endpoint(0), fingerprint: SimulatedWorker.fingerprint,
          past: past, key: Self.key(0))), from: stranger)
    come(.standing(StateReport(generation: number, next: min(next + 1, training.lastStep))), from: stranger)
    come(.prepared(generation: number, step: next, weights: wrong), from: stranger)
    if next < training.lastStep { come(.committed(record(next)), from: stranger) }
    come(fault(.other), from: stranger)
    come(fault(.corruption(ranks: [random.below(scenario.ranks)])), from: stranger)
    come(fault(.silentPeer(rank: random.below(scenario.ranks))), from: stranger)
    come(fault(.clip(lane: 0, clip: 0)), from: stranger)
    come(
      .checkpointReady(
        step: training.lastStep,
        blobs: [StateBlobs.model(next), StateBlobs.trainer(next)].map {
          Self.description($0, TrainingValue(value: choice))
        }), from: stranger)
    come(.leaving, from: stranger)
  }

  // MARK: Data

  /// Whether reads of a rank's data fail.
  func isBlind(_ rank: Int) -> Bool {
    blindness.removeAll { $0.until <= now }
    return blindness.contains { $0.rank == nil || $0.rank == rank }
  }

  /// For how long a rank's reads have not returned.
  func blockedFor(_ rank: Int) -> Nanoseconds? {
    guard blockedUntil(rank) != nil else { return nil }
    return blindness.filter { $0.blocks && ($0.rank == nil || $0.rank == rank) }.map { now - $0.since }.max()
  }

  /// Until when a rank's reads do not return.
  func blockedUntil(_ rank: Int) -> Nanoseconds? {
    guard isBlind(rank) else { return nil }
    return blindness.filter { $0.blocks && ($0.rank == nil || $0.rank == rank) }.map(\.until).max()
  }
}
