// Making a generation: who takes part, the step to resume at, who gets the state from whom, who computes what.
import Shared
import Wire

extension Membership {
  /// Halts everybody who is ready and makes a new generation of them.
  mutating func reconfigure(_ why: String, at now: Duration) -> [Action] {
    let released = all.filter(\.isLeaving).flatMap { release($0.identity) }
    let ready = all.filter(\.isReady).map(\.identity)
    directives.clear()
    guard !ready.isEmpty else {
      phase = .gathering
      gatheringSince = now
      return released + [
        .report(RunEvent(.generation, "\(why); nobody is left, waiting for workers", level: .warning))
      ]
    }
    phase = .halting(Halt(reason: why, participants: ready.map(\.rank)))
    number = max(number + 1, firstNumber)
    resent = now
    // Whoever answers nothing from now on hangs.
    detector.expectProgress(of: phase.participants, at: now)
    return released + ready.map { .send($0, .halt(generation: number)) }
  }

  /// From everybody's report follows the step to resume at, and from where each gets the state before it.
  mutating func resolve(_ halt: Halt, at now: Duration) -> [Action] {
    let taking = participants
    guard !taking.isEmpty, taking.allSatisfy({ halt.reports[$0.identity.rank] != nil }) else { return [] }
    func report(_ worker: Worker) -> StateReport? {
      worker.isStale || corruption.restores ? nil : halt.reports[worker.identity.rank]
    }
    let point = ResumePoint(taking.compactMap(report), position)
    var actions: [Action] = []
    let step: UInt64
    var usesCheckpoint = false
    if let reached = point.step, reached >= position.committed {
      step = reached
      // No commit record says what the state before step 0 is: rather than believe a member, all make it anew.
      usesCheckpoint = step == 0 && position.state == nil
      position.resume(at: step)
    } else {
      let newest = point.step ?? 0
      // Not before it is known whether a newer checkpoint is on the disk.
      if let pending = position.pendingCheckpoint, pending > newest { return [] }
      // Nobody holds the newest state: the newest that there is.
      usesCheckpoint = point.step == nil || newest < checkpoint ?? 0
      step = usesCheckpoint ? checkpoint ?? 0 : newest
      let others = all.filter { !halt.participants.contains($0.identity.rank) }
      if let back = others.first(where: {
        $0.isBelieved && $0.hello.past?.next ?? 0 > step && !corruption.restores
      }) {
        return reconfigure("\(back.identity), which is back, holds a later state", at: now)
      }
      // Those that wait for the next generation may hold what is rolled back here.
      for other in others { workers[other.identity.rank]?.isStale = true }
      if position.fallBack(to: step, generation: number - 1) { actions.append(.rollBack(to: step)) }
    }
    phase = .preparing(Preparation(halt, step: step))
    for worker in taking {
      if usesCheckpoint {
        actions += prepare(worker.identity, from: checkpoint == nil ? .initial : .coordinator, at: now)
      } else if let report = report(worker), point.isReached(by: report) {
        actions += prepare(worker.identity, from: point.ownSource, at: now)
      }
    }
    return actions
  }

  private mutating func prepare(_ identity: WorkerIdentity, from source: StateSource, at now: Duration) -> [Action] {
    guard case .preparing(var preparation) = phase else { return [] }
    preparation.transfers[identity.rank] = Preparation.Transfer(source: source, since: now)
    phase = .preparing(preparation)
    return [.send(identity, .prepare(generation: number, step: preparation.step, source: source, peers: peers))]
  }

  /// Whom the participants may admit.
  var peers: [Peer] {
    participants.compactMap { worker in
      worker.hello.key.map { Peer(identity: worker.identity, endpoint: worker.hello.endpoint, key: $0) }
    }
  }

  /// Sends those who lack the state to a peer that has it, once all who have it agree: a wrong state must not spread,
  /// and outvote the right one. A state transfer carries no commit records, so the source's records must have come
  /// first. Otherwise they could be lost with it.
  mutating func transferStates(at now: Duration) -> [Action] {
    guard case .preparing(let preparation) = phase, position.recorded >= preparation.step else { return [] }
    let targets = participants.map(\.identity).filter { preparation.transfers[$0.rank] == nil }
    let sources = participants.filter { preparation.transfers[$0.identity.rank] != nil }
    let states = sources.compactMap { preparation.prepared[$0.identity.rank] }
    guard !targets.isEmpty, let first = sources.first, states.count == sources.count else { return [] }
    if let wrong = outliers(states, before: preparation.step) {
      return resolve(dissent: wrong.map { sources[$0].identity }, of: sources.count, before: preparation.step, at: now)
    }
    return targets.flatMap { target in
      let source = sources.first { !links.contains(Link(from: target, to: $0.identity)) } ?? first
      return prepare(target, from: .peer(endpoint: source.hello.endpoint), at: now)
    }
  }

  /// A worker that gets nothing from its peer is sent to another one, in another generation.
  mutating func changeSource(of target: WorkerIdentity, at now: Duration) -> [Action] {
    guard case .preparing(let preparation) = phase,
      case .peer(let endpoint)? = preparation.transfers[target.rank]?.source,
      let source = participants.first(where: { $0.hello.endpoint == endpoint })?.identity
    else { return [] }
    links.add(Link(from: target, to: source), at: now)
    return reconfigure("\(target) gets no state from \(source)", at: now)
  }

  /// Begins the generation once everybody holds the same, valid state.
  mutating func beginIfPrepared(at now: Duration) -> [Action] {
    guard case .preparing(let preparation) = phase else { return [] }
    let (step, all) = (preparation.step, participants)
    let states = all.compactMap { preparation.prepared[$0.identity.rank] }
    guard position.recorded >= step, !all.isEmpty, states.count == all.count else { return [] }
    if let wrong = outliers(states, before: step) {
      return resolve(dissent: wrong.map { all[$0].identity }, of: all.count, before: step, at: now)
    }
    links.expire(at: now)
    guard let ring = ringOrder(all.map(\.identity), avoiding: links.all) else { return breakRing(at: now) }
    let shares = lanePlan(
      lanes: settings.lanes, weights: balance.weights(all), held: all.map { held($0.identity.rank, preparation) },
      avoided: clips.avoided.mapValues { ranks in
        Set(all.indices.filter { ranks.contains(all[$0].identity.rank) })
      })
    let members = ring.map { place in
      Member(
        identity: all[place].identity, endpoint: all[place].hello.endpoint, lanes: shares.lanes[place],
        key: all[place].hello.key)
    }
    position.begin(generation: number, at: step, state: states.first)
    let isEnough = !wantsStop && evaluations.endsTraining(at: step) && !awaitsValidation(before: step)
    if isEnough { wantsStop = true }
    let goesOn = !wantsStop && step < settings.lastStep
    let isBlind = goesOn && all.allSatisfy { $0.dataLost != nil }
    let pauses = isBlind || (goesOn && awaitsEvaluation(before: step))
    let made = Generation(
      number: number, startStep: step,
      endStep: goesOn && !pauses ? evaluations.next(after: step, below: settings.lastStep) : nil,
      endBinds: evaluations.decides, members: members, directivesDone: directives.sequence, stops: wantsStop,
      pauses: pauses,
      exclusions: clips.from(step), computesAnew: corruption.recomputes, rolledBack: position.rolledBack,
      reductions: evaluations.reductions(at: step))
    generation = made
    phase = pauses ? .paused(next: step) : .running(reports: [:])
    corruption.begin()
    for worker in all { workers[worker.identity.rank]?.isStale = false }
    detector.expectProgress(of: all.map(\.identity.rank), at: now)
    var actions: [Action] = isBlind ? startPause(at: now) : endPause()
    if isEnough {
      let text = "training ends before step \(step): the last validations found no better model"
      actions.append(.report(RunEvent(.stop, text)))
    }
    actions += [.begin(made, state: states.first, reason: preparation.reason)]
    actions += all.map { .send($0.identity, .begin(made)) }
    if pauses { return actions }
    let othersWait = self.all.contains { $0.isReady && !isMember($0.identity) }
    return othersWait || !shares.isEven ? actions + issue(.reconfigure) : actions
  }

  /// Lanes of the step that a rank need not recompute.
  private func held(_ rank: Int, _ preparation: Preparation) -> [Int] {
    guard !corruption.recomputes, case .own? = preparation.transfers[rank]?.source,
      let report = preparation.reports[rank], report.next == preparation.step
    else { return [] }
    return report.held
  }

  /// The places of the states that are not the journal's or, where the journal does not know the state, not the strict
  /// majority's; all places where there is no majority, and nil where all agree.
  private func outliers(_ states: [Digest128], before step: UInt64) -> [Int]? {
    guard step == position.committed, let journaled = position.state else { return dissenters(states) }
    let wrong = states.indices.filter { states[$0] != journaled }
    return wrong.isEmpty ? nil : wrong
  }

  /// Workers with another state than the others are fenced. If that is everybody, all go back to the newest checkpoint.
  private mutating func resolve(
    dissent wrong: [WorkerIdentity], of count: Int, before step: UInt64, at now: Duration
  ) -> [Action] {
    if wrong.count == count, count > 1 || corruption.restores {
      let why = "the states before step \(step) differ, and nothing tells which is right"
      return restore(why, at: now) ?? [.end(.badData, why, atOnce: true)]
    }
    return wrong.flatMap {
      lost($0, .fenced, reason: "its state before step \(step) is not the others'", at: now)
    }
  }

  // MARK: Corruption

  /// The ranks differ, and nothing tells whom to believe: all go back to the newest checkpoint, which was verified.
  /// - Returns: nil where something was already tried at this step.
  mutating func restore(_ why: String, at now: Duration) -> [Action]? {
    corruption.restore(at: position.committed) ? reconfigure(why, at: now) : nil
  }

  /// The states agree, the sum was wrong: the step is recomputed from nothing.
  /// - Returns: nil where something was already tried at this step.
  mutating func recompute(_ why: String, at now: Duration) -> [Action]? {
    corruption.recompute(at: position.committed) ? reconfigure(why, at: now) : nil
  }
}
