// Who is admitted: newcomers, workers that come back, and those that a restarted coordinator finds.
import Shared
import Wire

extension Membership {
  mutating func hello(_ identity: WorkerIdentity, _ hello: Hello, at now: Duration) -> [Action] {
    if admission.isFenced(identity) { return refuse(identity, "it was given up") }
    if let past = hello.past, past.run != settings.run { return refuse(identity, "it belongs to another run") }
    if admission.mustWait(identity, at: now) { return [] }
    if let holder = workers[identity.rank] {
      guard holder.identity == identity else { return claim(identity, from: holder, at: now) }
      // An older hello, from before it was in a run, may have come first.
      workers[identity.rank]?.hello = hello
      return [.welcome(identity)] + (holder.isReady ? [] : readmit(identity, hello.past, at: now))
    }
    if let other = all.first(where: { $0.hello.fingerprint != hello.fingerprint }) {
      return refuse(identity, difference(of: hello, from: other.hello))
    }
    workers[identity.rank] = Worker(identity: identity, hello: hello)
    detector.add(identity.rank, at: now)
    var actions: [Action] = [.welcome(identity), .joined(identity, hello)]
    if let replaced = admission.admit(identity) {
      actions.append(.kill(replaced, reason: "another process has taken its place"))
    }
    return actions + readmit(identity, hello.past, at: now)
  }

  /// A worker that has been in a generation has all it needs to be in the next.
  private mutating func readmit(_ identity: WorkerIdentity, _ past: Hello.Past?, at now: Duration) -> [Action] {
    guard let past, past.number > 0 else { return [] }
    workers[identity.rank]?.isReady = true
    workers[identity.rank]?.isStale = past.number <= position.rolledBack
    workers[identity.rank]?.selfTest = past.selfTest
    let isBack = Action.report(RunEvent(.workerReturned, "\(identity) is back"))
    switch phase {
    case .recovering: return recover(at: now)
    case .gathering: return [isBack] + gather(at: now)
    case .running: return [isBack] + issue(.reconfigure)
    case .halting, .preparing, .paused, .stopped: return [isBack]
    }
  }

  private func refuse(_ identity: WorkerIdentity, _ why: String) -> [Action] {
    [
      .send(identity, .dismiss(reason: why, clean: false)),
      .report(RunEvent(.workerRefused, "\(identity) refused: \(why)", level: .warning)),
    ]
  }

  /// Another process wants a rank that is taken: it waits until the rank's holder was heard again, or has been silent
  /// for too long.
  private mutating func claim(_ identity: WorkerIdentity, from holder: Worker, at now: Duration) -> [Action] {
    let heard = detector[identity.rank]?.heard ?? now
    switch admission.claim(identity, heard: heard, silence: settings.suspectAfter, at: now) {
    case .undecided: return []
    case .refused:
      let (rank, hello) = (identity.rank, holder.hello)
      return refuse(identity, "rank \(rank) is taken by process \(hello.pid) on \(hello.host), which is alive")
    case .granted:
      return lost(holder.identity, .dead, reason: "silent, and another process has come for its rank", at: now)
    }
  }

  /// A worker whose bits would not be those of the others is not admitted.
  mutating func refusal(of identity: WorkerIdentity, _ selfTest: SelfTest) -> [Action]? {
    workers[identity.rank]?.selfTest = selfTest
    let other = all.first {
      $0.identity != identity && $0.selfTest.map { !$0.agrees(with: selfTest) } ?? false
    }
    guard let other, let theirs = other.selfTest else { return nil }
    remove(identity.rank)
    let why =
      "its results differ in bits from \(other.identity)'s on \(other.hello.host): \(selfTest); there \(theirs)"
    return refuse(identity, why) + [.left(identity, reason: why)]
  }

  private func difference(of hello: Hello, from other: Hello) -> String {
    let keys = Set(hello.fingerprint.keys).union(other.fingerprint.keys).sorted()
    let differing = keys.filter { hello.fingerprint[$0] != other.fingerprint[$0] }.map { key in
      "\(key) is '\(hello.fingerprint[key] ?? "")' on \(hello.host) and '\(other.fingerprint[key] ?? "")' on \(other.host)"
    }
    return "its results would differ in bits: \(differing.joined(separator: ", "))"
  }

  mutating func gather(at now: Duration) -> [Action] {
    let ready = all.count(where: \.isReady)
    let isLate = gatheringSince.map { now - $0 > settings.joinWindow } ?? false
    guard ready >= settings.ranks.count || (isLate && ready > 0) else {
      // Whoever left may have been the last, and nobody else may be there to start another.
      return isLate && workers.isEmpty ? settings.ranks.map { .launch(rank: $0) } : []
    }
    if generation == nil, position.committed == 0, checkpoint ?? 0 == 0, let end = endWithoutData() { return [end] }
    return reconfigure(generation == nil ? "start" : "workers are back", at: now)
  }

  // MARK: After a restart of the coordinator

  /// A worker that was expected is known not to be alive.
  mutating func gone(_ identity: WorkerIdentity, at now: Duration) -> [Action] {
    guard admission.stopExpecting(identity) else { return [] }
    return [.left(identity, reason: "ended while no coordinator was there")] + recover(at: now)
  }

  /// When all who may be alive have been heard, or were waited for long enough: goes on in their generation if they are
  /// all of it, and makes a new one otherwise.
  mutating func recover(at now: Duration) -> [Action] {
    guard case .recovering(let until, let reports) = phase else { return [] }
    let missing = admission.expected.filter { !isKnown($0) }
    guard missing.isEmpty || now > until else { return [] }
    var actions = missing.sorted { ($0.rank, $0.incarnation) < ($1.rank, $1.incarnation) }.map {
      Action.left($0, reason: "not heard since the coordinator was started again")
    }
    actions += settings.ranks.filter { workers[$0] == nil }.map { .launch(rank: $0) }
    admission.stopExpectingAnybody()
    if let generation, isComplete(generation) {
      phase = generation.pauses ? .paused(next: generation.startStep) : .running(reports: reports)
      actions.append(.report(RunEvent(.generation, "all workers went on in generation \(number)")))
      if all.contains(where: { $0.isReady && !isMember($0.identity) }) { actions += issue(.reconfigure) }
      actions += evaluatePassed()
    } else if all.contains(where: \.isReady) {
      actions += reconfigure("the coordinator was started again, and not all workers are there", at: now)
    } else {
      phase = .gathering
      gatheringSince = now
    }
    return actions
  }

  /// Whether all members are here and went on in this generation, of which nothing was rolled back.
  private func isComplete(_ generation: Generation) -> Bool {
    generation.number > position.rolledBack
      && generation.members.allSatisfy {
        isKnown($0.identity) && workers[$0.identity.rank]?.hello.past?.number == generation.number
      }
  }
}
