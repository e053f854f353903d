// Who is taken in: newcomers, workers that come back, and those that a coordinator that was started again finds.
import Shared
import Wire

extension Membership {
  mutating func hello(_ identity: WorkerIdentity, _ hello: Hello, at now: Duration) -> [Action] {
    if condemned.contains(identity) { return refuse(identity, "it was given up") }
    if let past = hello.past, past.run != settings.run { return refuse(identity, "it belongs to another run") }
    if let bar = barred[identity], now < bar.until { return [] }
    if let holder = workers[identity.rank] {
      guard holder.identity == identity else { return contend(identity, with: holder, at: now) }
      // An older hello, from before it was in a run, may have come first.
      workers[identity.rank]?.hello = hello
      return [.welcome(identity)] + (holder.ready ? [] : takeBack(identity, hello.past, at: now))
    }
    if let other = all.first(where: { $0.hello.fingerprint != hello.fingerprint }) {
      return refuse(identity, difference(of: hello, from: other.hello))
    }
    contenders[identity] = nil
    workers[identity.rank] = Worker(identity: identity, hello: hello, heard: now, moved: now)
    var actions: [Action] = [.welcome(identity), .joined(identity, hello)]
    // One that was away has come back, or has lost its place.
    if let away = absent.removeValue(forKey: identity.rank), away.identity != identity {
      condemned.insert(away.identity)
      actions.append(.kill(away.identity, reason: "another process has taken its place"))
    }
    return actions + takeBack(identity, hello.past, at: now)
  }

  /// One that has been in a generation has all it needs to be in the next.
  private mutating func takeBack(_ identity: WorkerIdentity, _ past: Hello.Past?, at now: Duration) -> [Action] {
    guard let past, past.number > 0 else { return [] }
    workers[identity.rank]?.ready = true
    workers[identity.rank]?.mustLearn = past.number <= rolledBack
    workers[identity.rank]?.selfTest = past.selfTest
    switch phase {
    case .recovering: return recover(at: now)
    case .gathering: return [.report(RunEvent(.workerReturned, "\(identity) is back"))] + gather(at: now)
    case .running: return [.report(RunEvent(.workerReturned, "\(identity) is back"))] + order(.reform)
    case .halting, .preparing, .paused, .stopped: return [.report(RunEvent(.workerReturned, "\(identity) is back"))]
    }
  }

  private func refuse(_ identity: WorkerIdentity, _ why: String) -> [Action] {
    [
      .send(identity, .dismiss(reason: why, clean: false)),
      .report(RunEvent(.workerRefused, "\(identity) refused: \(why)", level: .warning)),
    ]
  }

  /// Another process wants a rank that is taken: it waits until its holder was heard again, or is silent for too long
  /// for one that lives.
  private mutating func contend(_ identity: WorkerIdentity, with holder: Worker, at now: Duration) -> [Action] {
    let since = contenders[identity] ?? now
    contenders[identity] = since
    if holder.heard > since {
      contenders[identity] = nil
      return refuse(
        identity,
        "rank \(identity.rank) is taken by process \(holder.hello.pid) on \(holder.hello.host), which is alive")
    }
    guard now - max(since, holder.heard) >= settings.suspectAfter else { return [] }
    return lost(holder.identity, .dead, reason: "silent, and another process has come for its rank", at: now)
  }

  /// A worker whose bits would not be those of the others is not taken in.
  mutating func refusal(of identity: WorkerIdentity, _ selfTest: SelfTest) -> [Action]? {
    workers[identity.rank]?.selfTest = selfTest
    let other = all.first {
      $0.identity != identity && $0.selfTest.map { !$0.agrees(with: selfTest) } ?? false
    }
    guard let other, let theirs = other.selfTest else { return nil }
    workers[identity.rank] = nil
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
    let ready = all.count(where: \.ready)
    let late = started.map { now - $0 > settings.joinWindow } ?? false
    guard ready >= settings.ranks.count || (late && ready > 0) else {
      // Whoever left may have been the last, and nobody else may be there to start another.
      return late && workers.isEmpty ? settings.ranks.map { .launch(rank: $0) } : []
    }
    if generation == nil, committed == 0, checkpoint ?? 0 == 0, let end = endWithoutData() { return [end] }
    return reform(generation == nil ? "start" : "workers are back", at: now)
  }

  // MARK: After a restart of the coordinator

  /// A worker that was expected is known not to live any more.
  mutating func gone(_ identity: WorkerIdentity, at now: Duration) -> [Action] {
    guard expected.remove(identity) != nil else { return [] }
    return [.left(identity, reason: "ended while no coordinator was there")] + recover(at: now)
  }

  /// When all who may live have been heard, or were waited for long enough: goes on in their generation if they are
  /// all of it, and makes a new one otherwise.
  mutating func recover(at now: Duration) -> [Action] {
    guard case .recovering(let until) = phase else { return [] }
    let missing = expected.filter { !isKnown($0) }
    guard missing.isEmpty || now > until else { return [] }
    var actions = missing.sorted { ($0.rank, $0.incarnation) < ($1.rank, $1.incarnation) }.map {
      Action.left($0, reason: "not heard since the coordinator was started again")
    }
    actions += settings.ranks.filter { workers[$0] == nil }.map { .launch(rank: $0) }
    expected = []
    let running = generation.map { made in
      made.number > rolledBack
        && made.members.allSatisfy {
          workers[$0.identity.rank]?.hello.past?.number == made.number && isKnown($0.identity)
        }
    }
    if running == true {
      phase = generation.map { $0.pauses ? .paused(next: $0.startStep) : .running } ?? .running
      actions.append(.report(RunEvent(.generation, "all workers went on in generation \(number)")))
      if all.contains(where: { $0.ready && !isMember($0.identity) }) { actions += order(.reform) }
    } else if all.contains(where: \.ready) {
      actions += reform("the coordinator was started again, and not all workers are there", at: now)
    } else {
      phase = .gathering
      started = now
    }
    return actions
  }
}
