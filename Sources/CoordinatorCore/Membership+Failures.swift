// What follows from failures: who is lost, who may come back, which links the ring avoids; and whose lanes move.
import Shared
import Wire

extension Membership {
  /// Why a worker is lost, and what happens to its process.
  enum Loss {
    /// Its process is no more: it is replaced at once.
    case dead
    /// Not heard: it may come back, and is replaced if it does not.
    case silent
    /// Heard, but its neighbour cannot reach it: it may come back later.
    case unreachable
    /// Wrong or hung: its process is ended and replaced.
    case fenced
  }

  mutating func lost(
    _ identity: WorkerIdentity, _ loss: Loss, reason why: String, at now: Duration
  ) -> [Action] {
    guard isKnown(identity) else { return [] }
    let matters =
      switch phase {
      case .recovering, .gathering: false
      case .running, .paused: isMember(identity)
      case .halting, .preparing: phase.participants.contains(identity.rank)
      case .stopped(let next): checkpoint != next
      }
    remove(identity.rank)
    links.remove(identity)
    var actions: [Action] = [.left(identity, reason: why)]
    switch loss {
    case .dead: actions += replace(identity, reason: why)
    case .silent: admission.evict(identity, at: now)
    case .unreachable: admission.sendAway(identity, at: now)
    case .fenced:
      admission.fence(identity)
      actions += replace(identity, reason: why)
    }
    // The survivors are halted first: whatever else there is to do would make them wait.
    return matters ? reconfigure("\(identity) was lost: \(why)", at: now) + actions : actions
  }

  private func replace(_ identity: WorkerIdentity, reason: String) -> [Action] {
    [.kill(identity, reason: reason), .launch(rank: identity.rank)]
  }

  /// A process of this rank ended that is no worker known here: one that had not joined, or the ssh client of one that
  /// has. The latter may have lost its connection alone, but need not be waited for if the worker falls silent.
  mutating func ended(rank: Int) -> [Action] {
    admission.processEnded(rank)
    detector.launcherEnded(rank)
    return workers[rank] == nil ? [.launch(rank: rank)] : []
  }

  mutating func forgiveOwnPause(at now: Duration) {
    let pause = detector.forgiveOwnPause(at: now)
    if case .recovering(let until, let reports) = phase { phase = .recovering(until: until + pause, reports: reports) }
  }

  /// The failures that only the passing of time shows.
  mutating func detectFailures(at now: Duration) -> [Action] {
    var actions: [Action] = []
    for rank in workers.keys.sorted() {
      guard let identity = workers[rank]?.identity else { continue }
      switch detector.check(rank, at: now) {
      case .disconnected:
        actions += lost(
          identity, .dead, reason: "its connection to a neighbour was closed, and it is silent", at: now)
      case .silent(let isLauncherGone):
        let why = "no heartbeat for \(seconds(settings.evictAfter)) s"
        actions += lost(identity, isLauncherGone ? .dead : .silent, reason: why, at: now)
      case .suspected(let silence, isNew: true):
        let text = "\(identity) is suspected: no heartbeat for \(seconds(silence)) s"
        actions.append(.report(RunEvent(.workerSuspected, text)))
      case .suspected: break
      case .alive:
        if detector.isStuck(rank, at: now), let what = task(of: identity) {
          let why = "hangs: it beats, but \(what) has not moved for \(seconds(settings.hangAfter)) s"
          actions += lost(identity, .fenced, reason: why, at: now)
        } else if isTransferStalled(rank, at: now) {
          actions += changeSource(of: identity, at: now)
        }
      }
    }
    let all = members
    if isRunning, all.count == generation?.members.count,
      all.allSatisfy({ detector.isStuck($0.identity.rank, at: now) })
    {
      actions += reconfigure("nothing has moved for \(seconds(settings.hangAfter)) s", at: now)
    }
    for identity in admission.takeOverdue(after: settings.returnAfter, at: now) {
      actions += replace(identity, reason: "it did not come back for \(seconds(settings.returnAfter)) s")
    }
    return actions
  }

  /// What a worker should be doing now without waiting for another; nil where it may be idle.
  private func task(of identity: WorkerIdentity) -> String? {
    let rank = identity.rank
    switch phase {
    case .running(let reports):
      guard isMember(identity), reports[rank] == nil, let progress = detector[rank]?.progress else { return nil }
      switch progress.phase {
      case .computing: return "step \(progress.step) (\(progress.lanesDone) lanes done)"
      case .reducing, .voting: return progress.waitingFor == nil ? "the exchange of step \(progress.step)" : nil
      case .idle, .preparing: return nil
      }
    case .halting(let halt): return halt.participants.contains(rank) && halt.reports[rank] == nil ? "its halt" : nil
    case .preparing(let preparation):
      return preparation.transfers[rank] != nil && preparation.prepared[rank] == nil
        && preparation.participants.contains(rank) ? "getting its state" : nil
    case .stopped(let next), .paused(let next):
      // Its commit records too: without them the checkpoint is not written.
      return checkpoint != next && !(position.isHandedOver && position.recorded >= next)
        && generation?.members.first?.identity == identity ? "handing over the checkpoint" : nil
    case .recovering, .gathering: return nil
    }
  }

  private func isTransferStalled(_ rank: Int, at now: Duration) -> Bool {
    guard case .preparing(let preparation) = phase, preparation.prepared[rank] == nil,
      let transfer = preparation.transfers[rank], let moved = detector[rank]?.moved
    else { return false }
    return now - max(moved, transfer.since) > settings.evictAfter * 2
  }

  // MARK: Links

  /// A worker's right neighbour acknowledges nothing. If it is silent here too, its heartbeats decide; if not, the link
  /// between the two is broken, and the ring takes another order.
  mutating func silentPeer(_ reporter: WorkerIdentity, _ rank: Int, at now: Duration) -> [Action] {
    guard isRunning, isMember(reporter), let peer = workers[rank]?.identity, isMember(peer),
      detector.isHeard(rank, at: now)
    else { return [] }
    links.add(Link(from: reporter, to: peer), at: now)
    return reconfigure("\(reporter) cannot reach \(peer), which is alive: the ring takes another way", at: now)
  }

  /// The connection to a worker ended. If its process did too, no heartbeat comes any more.
  mutating func closedLink(_ reporter: WorkerIdentity, _ rank: Int, at now: Duration) {
    guard isRunning, isMember(reporter), let peer = workers[rank]?.identity, isMember(peer) else { return }
    detector.connectionClosed(to: rank, at: now)
  }

  /// There is no ring without a broken link: the worker with the most of them goes, for a while.
  mutating func breakRing(at now: Duration) -> [Action] {
    guard let worst = links.worst(of: participants.map(\.identity)) else { return [] }
    return lost(worst, .unreachable, reason: "its neighbours cannot reach it, or it them, in any order", at: now)
  }

  // MARK: Slow workers

  /// Lanes move from a slow worker to the others at the next boundary.
  mutating func moveLanes(after step: UInt64) -> [Action] {
    guard isRunning, let generation else { return [] }
    let workers = generation.members.map(\.identity).filter { isKnown($0) }.compactMap { self.workers[$0.rank] }
    guard workers.count == generation.members.count,
      let slowest = balance.straggler(after: step, in: generation, workers, lanes: settings.lanes)
    else { return [] }
    let orders = issue(.reconfigure)
    return orders.isEmpty ? [] : [.report(RunEvent(.balance, "\(slowest) is slow: lanes move"))] + orders
  }
}

/// A duration in seconds, to a tenth.
func seconds(_ duration: Duration) -> String {
  let tenths = Int((duration / .milliseconds(100)).rounded())
  return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
}
