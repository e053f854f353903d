// Making a generation: who takes part, the step to go on from, who gets the state from whom, who computes what.
import Shared

extension Membership {
  /// Halts everybody who is ready and makes a new generation of them.
  mutating func reform(_ why: String, at now: Duration) -> [Action] {
    let leavers = all.filter(\.isLeaving).map(\.identity)
    let farewells = leavers.flatMap { letGo($0) }
    participants = all.filter(\.ready).map(\.identity.rank)
    reason = why
    directives = []
    guard !participants.isEmpty else {
      phase = .gathering
      started = now
      return farewells + [
        .report(RunEvent(.generation, "\(why); nobody is left, waiting for workers", level: .warning))
      ]
    }
    phase = .halting
    number = max(number + 1, firstNumber)
    repeated = now
    for rank in participants {
      workers[rank]?.standing = nil
      workers[rank]?.prepared = nil
      workers[rank]?.source = nil
      // Whoever answers nothing from now on hangs.
      workers[rank]?.moved = now
    }
    return farewells + taking.map { .send($0.identity, .halt(generation: number)) }
  }

  /// From where everybody stands follows the step to continue at, and from where each gets the state before it.
  mutating func resolve(at now: Duration) -> [Action] {
    guard !taking.isEmpty, taking.allSatisfy({ $0.standing != nil }) else { return [] }
    func next(_ worker: Worker) -> UInt64? { worker.mustLearn || restores ? nil : worker.standing?.next }
    var actions: [Action] = []
    var best = taking.compactMap(next).max()
    // In doubt: a rank that is gone may have applied what the others froze; its record settles it.
    if let step = best, committed == step + 1, let last,
      taking.contains(where: { next($0) == step && $0.standing?.vote == last.vote })
    {
      best = step + 1
    }
    // What a rank voted for may have been repeated since, in another attempt or generation: that is another sum.
    let last =
      taking.first { next($0) == best && $0.standing?.last != nil }?.standing?.last ?? (committed == best ? last : nil)
    var target = best ?? 0
    if best == nil || target < committed {
      // Not before it is known whether a newer checkpoint is on the disk.
      if let pendingCheckpoint, pendingCheckpoint > target { return [] }
      // Nobody holds the newest state: the newest that there is.
      if best == nil || target < checkpoint ?? 0 { (best, target) = (nil, checkpoint ?? 0) }
      let others = all.filter { !participants.contains($0.identity.rank) }
      if let back = others.first(where: { $0.isBelieved && $0.hello.past?.next ?? 0 > target && !restores }) {
        return reform("\(back.identity), which is back, holds a later state", at: now)
      }
      // Those that wait for the next generation may hold what is given up here.
      for other in others { workers[other.identity.rank]?.mustLearn = true }
      if committed > target {
        actions.append(.rollBack(to: target))
        recorded = min(recorded, target)
      }
      rolledBack = number - 1
      (committed, state) = (target, nil)
    } else if target > committed {
      (committed, state) = (target, nil)
    }
    phase = .preparing(step: target)
    for worker in taking {
      var source: StateSource?
      if best == nil {
        source = checkpoint == nil ? .initial : .coordinator
      } else if let step = next(worker),
        step == target || (step + 1 == target && last != nil && worker.standing?.vote == last?.vote)
      {
        source = .own(skipping: last?.skipped ?? false)
      }
      guard let source else { continue }
      actions += prepare(worker.identity, target, source, at: now)
    }
    return actions
  }

  private mutating func prepare(
    _ identity: WorkerIdentity, _ step: UInt64, _ source: StateSource, at now: Duration
  ) -> [Action] {
    workers[identity.rank]?.source = source
    workers[identity.rank]?.sourced = now
    return [.send(identity, .prepare(generation: number, step: step, source: source))]
  }

  /// Sends those who lack the state to a peer that has it. A state is handed on without the records that led to it:
  /// they must have come before, or would be lost with those that have them.
  mutating func teach(_ step: UInt64, at now: Duration) -> [Action] {
    guard recorded >= step else { return [] }
    let donors = taking.filter { $0.prepared != nil }
    guard let first = donors.first else { return [] }
    return taking.filter { $0.source == nil }.flatMap { learner in
      let donor = donors.first { brokenLinks[Link(from: learner.identity, to: $0.identity)] == nil } ?? first
      return prepare(learner.identity, step, .peer(endpoint: donor.hello.endpoint), at: now)
    }
  }

  /// A learner that gets nothing from its peer is sent to another one, in another generation.
  mutating func changeDonor(of learner: Worker, at now: Duration) -> [Action] {
    guard case .peer(let endpoint)? = learner.source,
      let donor = taking.first(where: { $0.hello.endpoint == endpoint })
    else { return [] }
    brokenLinks[Link(from: learner.identity, to: donor.identity)] = now
    return reform("\(learner.identity) gets no state from \(donor.identity)", at: now)
  }

  mutating func beginIfPrepared(_ step: UInt64, at now: Duration) -> [Action] {
    let all = taking
    guard recorded >= step, !all.isEmpty, all.allSatisfy({ $0.prepared != nil }) else { return [] }
    if let wrong = disagreeing(all, step) { return part(wrong, of: all, step, at: now) }
    // A link may have been mended since.
    brokenLinks = brokenLinks.filter { now - $0.value < .seconds(60) }
    guard let ring = ringOrder(all.map(\.identity), avoiding: Set(brokenLinks.keys)) else { return breakRing(at: now) }
    let shares = lanePlan(
      lanes: settings.lanes, weights: weights(all), held: all.map { held($0, step) },
      avoided: Dictionary(
        uniqueKeysWithValues: avoided.map { lane, ranks in
          (lane, Set(all.indices.filter { ranks.contains(all[$0].identity.rank) }))
        }))
    let members = ring.map { place in
      Member(identity: all[place].identity, endpoint: all[place].hello.endpoint, lanes: shares.lanes[place])
    }
    rolledBack = min(rolledBack, number - 1)
    let goesOn = !wantsStop && step < settings.lastStep
    let isBlind = goesOn && all.allSatisfy { $0.dataLost != nil }
    let pauses = isBlind || (goesOn && evaluations.isDue(step))
    let made = Generation(
      number: number, startStep: step, endStep: goesOn && !pauses ? evaluations.next(after: step) : nil,
      members: members, directivesDone: sequence, stops: wantsStop, pauses: pauses,
      verdicts: verdicts.filter { $0.step >= step }, computesAnew: computesAnew, rolledBack: rolledBack)
    generation = made
    phase = pauses ? .paused(next: step) : .running
    (restores, computesAnew, isHandedOver) = (false, false, false)
    for worker in all {
      workers[worker.identity.rank]?.standing = nil
      workers[worker.identity.rank]?.mustLearn = false
      workers[worker.identity.rank]?.moved = now
    }
    var actions: [Action] = isBlind ? startPause(at: now) : endPause()
    actions += [.begin(made, reason: reason)]
    actions += all.map { .send($0.identity, .begin(made)) }
    if pauses { return actions }
    let waits = self.all.contains { $0.ready && !isMember($0.identity) }
    return waits || !shares.isEven ? actions + order(.reform) : actions
  }

  /// Lanes that a worker need not compute again.
  private func held(_ worker: Worker, _ step: UInt64) -> [Int] {
    guard !computesAnew, case .own? = worker.source, let standing = worker.standing, standing.next == step else {
      return []
    }
    return standing.held
  }

  /// Those whose state is not the journal's or, where the journal does not know it, not that of most; all where nothing
  /// tells whom to believe.
  private func disagreeing(_ all: [Worker], _ step: UInt64) -> [Worker]? {
    if step == committed, let state {
      let wrong = all.filter { $0.prepared != state }
      return wrong.isEmpty ? nil : wrong
    }
    return dissenters(all.map(\.prepared)).map { $0.map { all[$0] } }
  }

  /// Those with another state than the others go; if that is everybody, all go back to the newest checkpoint.
  private mutating func part(_ wrong: [Worker], of all: [Worker], _ step: UInt64, at now: Duration) -> [Action] {
    if wrong.count == all.count, all.count > 1 || restores {
      let why = "the states before step \(step) differ, and nothing tells which is right"
      return restore(why, at: now) ?? [.end(.badData, why, atOnce: true)]
    }
    return wrong.flatMap {
      lost($0.identity, .condemned, reason: "its state before step \(step) is not the others'", at: now)
    }
  }

  // MARK: Corruption, clips

  /// The ranks differ, and nothing tells whom to believe: all go back to the newest checkpoint, which was verified.
  /// - Returns: nil where that has been tried at this step.
  mutating func restore(_ why: String, at now: Duration) -> [Action]? {
    guard corruptedAt != committed else { return nil }
    corruptedAt = committed
    restores = true
    return reform(why, at: now)
  }

  /// The states agree, the sum was wrong: the step is computed again, from nothing that was kept.
  /// - Returns: nil where that has been tried at this step.
  mutating func computeAgain(_ why: String, at now: Duration) -> [Action]? {
    guard corruptedAt != committed else { return nil }
    corruptedAt = committed
    computesAnew = true
    return reform(why, at: now)
  }
}
