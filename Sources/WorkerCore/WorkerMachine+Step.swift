// What becomes of the lanes and the votes of a step: clips that cannot be read, evaluations, verdicts.
import Ring
import Shared
import Wire

extension WorkerMachine {
  mutating func failed(_ step: UInt64, _ lane: Int, _ clip: Int?, _ reason: String) {
    guard step == session.next else { return }
    guard let clip else {
      let fault = Fault(kind: .other, generation: session.number, step: step, text: reason)
      return ask { $0.failed(fault) }
    }
    // Is it the clip, or can nothing be read here?
    suspects.append((step, lane, clip, reason))
    if suspects.count == 1 { effects.append(.probe(clip: clip)) }
  }

  mutating func probed(_ reads: Bool, _ clip: (number: Int, reads: Bool)?, _ reason: String) {
    guard reads else { return lose(reason) }
    if dataLost != nil {
      dataLost = nil
      effects.append(.log(.info, "the data can be read again"))
    }
    let tried = doubtful
    doubtful = []
    for (id, result) in tried { settle(id, result) }
    guard let suspect = suspects.first, let clip, clip.number == suspect.clip else { return }
    suspects.removeFirst()
    if let next = suspects.first { effects.append(.probe(clip: next.clip)) }
    guard suspect.step == session.next, session.phase == .computing else { return }
    // A fault that has passed, such as a mount that came back, shortens no lane.
    if clip.reads { return effects.append(.retry(step: suspect.step, lane: suspect.lane)) }
    let fault = Fault(
      kind: .clip(lane: suspect.lane, clip: suspect.clip), generation: session.number, step: suspect.step,
      text: suspect.reason, status: .badData)
    ask { $0.failed(fault) }
  }

  /// Nothing can be read here: other workers must compute this one's lanes.
  mutating func lose(_ reason: String) {
    if dataLost == nil { effects.append(.log(.warning, "none of the data can be read: \(reason)")) }
    dataLost = reason
    suspects = []
    for done in doubtful { evaluations[done.task] = nil }
    doubtful = []
    guard session.phase == .computing, !session.lanes.isEmpty else { return }
    let fault = Fault(
      kind: .dataLost(report: dataReport), generation: session.number, step: session.next ?? 0, text: reason,
      status: .ioError)
    ask { $0.failed(fault) }
  }

  /// Some of a task's clips failed, though others can be read: it is computed until the same clips fail twice, so that
  /// whatever passed in the meantime changes no result.
  mutating func settle(_ id: EvaluationTask.ID, _ result: EvaluationResult) {
    guard let evaluation = evaluations[id] else { return }
    guard isAtHand(evaluation.task) else { return evaluations[id] = nil }
    if evaluation.tried == result { return finish(id, result) }
    evaluations[id]?.tried = result
    effects.append(.evaluate(evaluation.task))
  }

  mutating func finish(_ task: EvaluationTask.ID, _ result: EvaluationResult) {
    evaluations[task]?.result = result
    effects.append(.send(.evaluated(task, result)))
  }

  mutating func decide(_ ballots: [Ballot], _ clips: [Digest128], _ describe: ([NonFiniteGradient]) -> String) {
    guard session.phase == .voting, let step = session.next, let rules else { return }
    switch Verdict.of(ballots, clips: clips) {
    case .commit(let least): ask { $0.agreed(Heard(code: least), skipping: false) }
    case .repeatStep(let entries):
      raised = entries
      effects.append(.log(.info, "step \(step): \(entries.count) scales were too small, once more"))
      ask { $0.repeatStep() }
    case .nonFinite(let found) where rules.skipsNonFinite:
      effects.append(.log(.warning, "step \(step) is skipped: \(describe(found))"))
      let least = ballots.map(\.directive).min() ?? 0
      ask { $0.agreed(Heard(code: least), skipping: true) }
    case .nonFinite(let found): fail(.nonFiniteGradient, step, describe(found))
    case .corrupt(let suspects, let reason):
      let ranks = suspects.map { Int(ballots[$0].rank) }
      fail(.corruption(ranks: ranks), step, "step \(step): \(reason); suspected: ranks \(ranks)")
    }
  }

  mutating func fail(_ kind: Fault.Kind, _ step: UInt64, _ text: String) {
    effects.append(.log(.error, text))
    let fault = Fault(kind: kind, generation: session.number, step: step, text: text, status: .badData)
    ask { $0.failed(fault) }
  }
}
