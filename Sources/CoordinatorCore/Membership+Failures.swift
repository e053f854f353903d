// Who is given up, and why: silence, hanging, broken links; and whose lanes move because it is slow.
import Shared

extension Membership {
  /// What happens to a worker that is given up.
  enum Ending {
    /// Its process is no more: it is replaced at once.
    case dead
    /// Not heard: it may come back, and is replaced if it does not.
    case silent
    /// Heard, but cannot be reached by its neighbour: it may come back later.
    case unreachable
    /// Wrong or hung: its process is ended.
    case condemned
  }

  /// A process ended, or is to be given up.
  mutating func lost(
    _ identity: WorkerIdentity, _ ending: Ending, reason why: String, at now: Duration
  ) -> [Action] {
    guard isKnown(identity) else { return [] }
    let mattered =
      switch phase {
      case .recovering, .gathering: false
      case .running, .paused: isMember(identity)
      case .halting, .preparing: participants.contains(identity.rank)
      case .stopped(let next): checkpoint != next
      }
    workers[identity.rank] = nil
    brokenLinks = brokenLinks.filter { $0.key.from != identity && $0.key.to != identity }
    var actions: [Action] = [.left(identity, reason: why)]
    switch ending {
    case .dead: actions += [.kill(identity, reason: why), .launch(rank: identity.rank)]
    case .silent: absent[identity.rank] = (identity, now)
    case .unreachable:
      let times = (barred[identity]?.times ?? 0) + 1
      barred[identity] = (now + .seconds(10 << min(times - 1, 6)), times)
    case .condemned:
      condemned.insert(identity)
      actions += [.kill(identity, reason: why), .launch(rank: identity.rank)]
    }
    // The survivors are halted first: whatever else there is to do would make them wait.
    return mattered ? reform("\(identity) was lost: \(why)", at: now) + actions : actions
  }

  /// The process of a rank ended that was no member at that time.
  mutating func ended(rank: Int) -> [Action] {
    absent[rank] = nil
    return workers[rank] == nil ? [.launch(rank: rank)] : []
  }

  /// A coordinator that was itself paused has heard nobody: that is nobody's fault but its own.
  mutating func excuse(at now: Duration) {
    defer { ticked = now }
    guard let ticked, now - ticked > settings.suspectAfter else { return }
    let pause = now - ticked
    for rank in workers.keys {
      workers[rank]?.heard += pause
      workers[rank]?.moved += pause
    }
    if case .recovering(let until) = phase { phase = .recovering(until: until + pause) }
  }

  /// Verdicts that only time brings.
  mutating func judge(at now: Duration) -> [Action] {
    var actions: [Action] = []
    for rank in workers.keys.sorted() {
      guard let worker = workers[rank] else { continue }
      let silence = now - worker.heard
      if let closed = worker.closed, now - closed > settings.closedAfter {
        actions += lost(
          worker.identity, .dead, reason: "its connection to a neighbour was closed, and it is silent", at: now)
      } else if silence > settings.evictAfter {
        let seconds = text(settings.evictAfter)
        actions += lost(worker.identity, .silent, reason: "no heartbeat for \(seconds) s", at: now)
      } else if silence > settings.suspectAfter {
        if !worker.isSuspected {
          actions.append(
            .report(RunEvent(.workerSuspected, "\(worker.identity) is suspected: no heartbeat for \(text(silence)) s")))
        }
        workers[rank]?.isSuspected = true
      } else if now - worker.moved > settings.hangAfter, let what = owed(by: worker) {
        let seconds = text(settings.hangAfter)
        actions += lost(
          worker.identity, .condemned, reason: "hangs: it beats, but \(what) has not moved for \(seconds) s", at: now)
      } else if case .preparing = phase, worker.prepared == nil,
        now - max(worker.moved, worker.sourced) > settings.evictAfter * 2
      {
        actions += changeDonor(of: worker, at: now)
      }
    }
    let all = members
    if phase == .running, all.count == generation?.members.count,
      all.allSatisfy({ now - $0.moved > settings.hangAfter })
    {
      actions += reform("nothing has moved for \(text(settings.hangAfter)) s", at: now)
    }
    for (rank, lost) in absent.sorted(by: { $0.key < $1.key }) where now - lost.since > settings.returnAfter {
      absent[rank] = nil
      condemned.insert(lost.identity)
      actions += [
        .kill(lost.identity, reason: "it did not come back for \(text(settings.returnAfter)) s"), .launch(rank: rank),
      ]
    }
    return actions
  }

  private func text(_ duration: Duration) -> String {
    let tenths = Int((duration / .milliseconds(100)).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }

  /// What a worker should be doing now without waiting for another; nil where it may be idle.
  private func owed(by worker: Worker) -> String? {
    switch phase {
    case .running:
      guard isMember(worker.identity), worker.standing == nil else { return nil }
      let progress = worker.progress
      switch progress.phase {
      case .computing: return "step \(progress.step) (\(progress.lanesDone) lanes done)"
      case .reducing, .voting: return progress.waitingFor == nil ? "the exchange of step \(progress.step)" : nil
      case .idle, .preparing: return nil
      }
    case .halting: return participants.contains(worker.identity.rank) && worker.standing == nil ? "its halt" : nil
    case .preparing:
      return worker.source != nil && worker.prepared == nil && participants.contains(worker.identity.rank)
        ? "getting its state" : nil
    case .stopped(let next):
      // Its commit records too: without them the checkpoint is not written.
      return checkpoint != next && !(isHandedOver && recorded >= next)
        && generation?.members.first?.identity == worker.identity ? "handing over the last checkpoint" : nil
    case .recovering, .gathering, .paused: return nil
    }
  }

  // MARK: Links

  /// A worker's right neighbour acknowledges nothing. If it is silent here too, its heartbeats decide; if not, the link
  /// between the two is broken, and the ring is put in another order.
  mutating func silentPeer(_ reporter: WorkerIdentity, _ rank: Int, at now: Duration) -> [Action] {
    guard phase == .running, isMember(reporter), let peer = workers[rank], isMember(peer.identity),
      now - peer.heard <= settings.suspectAfter
    else { return [] }
    brokenLinks[Link(from: reporter, to: peer.identity)] = now
    return reform("\(reporter) cannot reach \(peer.identity), which is alive: the ring takes another way", at: now)
  }

  /// The connection to a worker ended. If its process did too, no heartbeat comes any more.
  mutating func closedLink(_ reporter: WorkerIdentity, _ rank: Int, at now: Duration) {
    guard phase == .running, isMember(reporter), let peer = workers[rank], isMember(peer.identity) else { return }
    workers[rank]?.closed = peer.closed ?? now
  }

  /// There is no ring without a broken link: the worker at most of them goes, for a while.
  mutating func breakRing(at now: Duration) -> [Action] {
    let counts = Dictionary(
      brokenLinks.keys.flatMap { [$0.from, $0.to] }.map { ($0, 1) }, uniquingKeysWith: +)
    let worst = taking.map(\.identity).max { a, b in
      let (first, second) = (counts[a] ?? 0, counts[b] ?? 0)
      return first != second ? first < second : a.rank < b.rank
    }
    guard let worst else { return [] }
    return lost(worst, .unreachable, reason: "its neighbours cannot reach it, or it them, in any order", at: now)
  }

  // MARK: Pace

  /// Each worker's weight in the lane plan: its measured speed, where all are measured, else its threads.
  /// One without data has none, unless all are so: then nothing is computed anyway.
  func weights(_ all: [Worker]) -> [Int] {
    if all.allSatisfy({ $0.dataLost != nil }) { return all.map { _ in 1 } }
    return zip(all, speeds(all.filter { $0.dataLost == nil }, of: all)).map { $0.dataLost == nil ? $1 : 0 }
  }

  private func speeds(_ readers: [Worker], of all: [Worker]) -> [Int] {
    let paces = readers.compactMap(\.pace).filter { $0.steps >= Self.stepsToMeasure }
    guard paces.count == readers.count, let fastest = paces.map(\.seconds).min(), fastest > 0 else {
      return all.map { min(max(1, $0.hello.threads), 1024) }
    }
    return all.map { worker in
      let weight = worker.pace.map { (1000 * fastest / $0.seconds).rounded() } ?? 1
      return Int(exactly: weight).map { min(max(1, $0), 1000) } ?? 1
    }
  }

  private static var stepsToMeasure: Int { 10 }

  /// From time to time: would another plan be a good deal faster? Then lanes move at the next boundary.
  mutating func balance(after step: UInt64) -> [Action] {
    // Not too often: on machines with other work, whoever is slow now is not slow for long.
    guard phase == .running, step % 10 == 9, let generation, step >= generation.startStep + 20,
      balancedAt.map({ step >= $0 + 100 }) ?? true
    else { return [] }
    let all = generation.members.compactMap { member in
      workers[member.identity.rank].flatMap { $0.identity == member.identity ? $0 : nil }
    }
    guard all.count == generation.members.count, all.count > 1,
      all.allSatisfy({ $0.dataLost == nil && ($0.pace?.steps ?? 0) >= Self.stepsToMeasure })
    else { return [] }
    func slowest(_ counts: [Int]) -> Double { zip(counts, all).map { Double($0) * ($1.pace?.seconds ?? 0) }.max() ?? 0 }
    let present = slowest(generation.members.map(\.lanes.count))
    let possible = slowest(laneShares(lanes: settings.lanes, weights: weights(all)).map(\.count))
    guard possible < 0.7 * present else { return [] }
    let straggler = all.max { ($0.pace?.seconds ?? 0) < ($1.pace?.seconds ?? 0) }
    balancedAt = step
    let orders = order(.reform)
    return orders.isEmpty
      ? []
      : [.report(RunEvent(.balance, "\(straggler?.identity.description ?? "a worker") is slow: lanes move"))] + orders
  }
}
