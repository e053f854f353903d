// Checkpoints: when the coordinator fetches copies from workers, has them written, and serves them to workers.
import Shared
import Wire

extension CoordinatorMachine {
  /// A worker holds a copy. Only the newest one is fetched, and each whose state is to be evaluated.
  mutating func checkpointReady(_ step: UInt64, _ blobs: [BlobDescription], from worker: WorkerIdentity) {
    let isDue = membership.evaluations.lacks(step)
    if let known = membership.checkpoint, known >= step, !isDue {
      return send(.checkpointTaken(step: step), to: worker)
    }
    guard blobs.count == 2, isPreferred(step, isDue) else { return }
    dropHandover()
    handover = CheckpointHandover(step: step, from: worker, model: blobs[0].name, trainer: blobs[1].name, at: now)
    askForPieces()
  }

  /// Whether a copy takes the place of the one that is being fetched: those to be evaluated first, the oldest first.
  private func isPreferred(_ step: UInt64, _ isDue: Bool) -> Bool {
    guard let handover else { return true }
    if handover.isBeingWritten || handover.step == step { return false }
    if membership.evaluations.lacks(handover.step) { return isDue && step < handover.step }
    return isDue || handover.step < step
  }

  mutating func dropHandover() {
    // A write in progress is answered by an event. Nobody waits for that any more.
    if handover?.isBeingWritten != true { handover = nil }
  }

  /// Asks again if an answer was lost, and has a complete checkpoint written once that is allowed.
  mutating func askForCheckpoint() {
    guard let handover else { return }
    switch handover.stage {
    case .fetching: if now - handover.asked > .seconds(2) { askForPieces(again: true) }
    case .fetched(let notBefore): if now >= notBefore { writeCheckpoint() }
    case .writing: break
    }
  }

  private mutating func askForPieces(again: Bool = false) {
    guard let worker = handover?.from, let requests = handover?.blobs.requests(again: again) else { return }
    handover?.asked = now
    for request in requests { send(.blobRequest(request), to: worker) }
  }

  mutating func tookPiece(_ piece: BlobPiece, _ bytes: Int?, from worker: WorkerIdentity) {
    guard let step = handover?.step, handover?.from == worker,
      let outcome = handover?.blobs.take(piece, bytes: bytes)
    else { return }
    switch outcome {
    case .ignored: return
    case .next(let keepsPayload):
      if keepsPayload { effects.append(.keep(piece)) }
      askForPieces()
    case .failed(let reason):
      report(.checkpoint, "checkpoint of step \(step): \(reason)", level: .warning)
      handover = nil
    case .complete:
      effects.append(.keep(piece))
      handover?.stage = .fetched(notBefore: .zero)
      mark { $0.position.isHandedOver = $0.phase == .stopped(next: step) || $0.phase == .paused(next: step) }
      writeCheckpoint()
    }
  }

  /// Has the fetched checkpoint written once the journal holds every step below it.
  private mutating func writeCheckpoint() {
    writeDown()
    guard let done = handover, case .fetched = done.stage, collector.next >= done.step else { return }
    let blobs = done.blobs.descriptions
    guard blobs.count == 2 else { return }
    // The copy is from before a restart, and cannot be compared with the journal. A newer one will come.
    if stateDigests[done.step] == nil, done.step > 0, !isAwaited(done.step) {
      handover = nil
      return send(.checkpointTaken(step: done.step), to: done.from)
    }
    handover?.stage = .writing
    mark { $0.position.pendingCheckpoint = done.step }
    effects.append(
      .writeCheckpoint(step: done.step, model: blobs[0], trainer: blobs[1], state: stateDigests[done.step]))
  }

  mutating func wrote(_ step: UInt64) {
    checkpointProblem = nil
    history.wroteCheckpoint(step)
    mark {
      $0.position.wroteCheckpoint(step)
      $0.evaluations.wroteCheckpoint(step)
      $0.position.pendingCheckpoint = nil
    }
    stateDigests = stateDigests.filter { $0.key >= step || membership.evaluations.isDue($0.key) }
    if let done = handover, done.step == step {
      handover = nil
      send(.checkpointTaken(step: step), to: done.from)
    }
    markBest()
    pruneCheckpoints()
    goOnWhenValidated()
    ask { membership, _ in membership.evaluatePassed() }
  }

  /// The best model is never pruned.
  mutating func pruneCheckpoints() {
    let plan = membership.evaluations
    effects.append(.pruneCheckpoints(sparing: plan.stored.union(plan.best.map { [$0.step] } ?? []).sorted()))
  }

  /// Has the best model marked on the disk, unless it is. Its checkpoint is there: it was written before training went
  /// on from it.
  mutating func markBest() {
    guard let best = unmarkedBest, markingBest == nil, now >= markingNotBefore else { return }
    markingBest = best.step
    effects.append(.markBest(step: best.step, best.figures))
  }

  /// The best model, if it is not the one that is marked.
  var unmarkedBest: (step: UInt64, figures: ValidationFigures)? {
    guard let best = membership.evaluations.best, best.step <= membership.checkpoint ?? 0 else { return nil }
    return best.step == markedBest ? nil : best
  }

  mutating func bestMarked(_ step: UInt64) {
    (markedBest, markingBest, markingProblem) = (step, nil, nil)
    // A better one may have come meanwhile.
    markBest()
  }

  mutating func bestNotMarked(_ step: UInt64, _ reason: String) {
    (markingBest, markingNotBefore) = (nil, now + .seconds(2))
    if markingProblem == reason { return }
    markingProblem = reason
    report(
      .checkpoint,
      "checkpoints/best is not the checkpoint of step \(step): \(reason); it is tried again until that works",
      level: .warning)
  }

  /// Whether the run waits for this checkpoint: it stands before the step, or before one that is to be evaluated first.
  private func isAwaited(_ step: UInt64) -> Bool {
    switch membership.phase {
    case .stopped(let next), .paused(let next): step == next || membership.evaluations.lacks(step)
    case .recovering, .gathering, .halting, .preparing, .running: false
    }
  }

  /// The older checkpoints stay, and training goes on. If the run waits for the checkpoint, it is tried again.
  mutating func checkpointFailed(_ step: UInt64, _ reason: String) {
    mark { $0.position.pendingCheckpoint = nil }
    guard let failed = handover, failed.step == step else { return }
    guard isAwaited(step) else {
      report(.checkpoint, "the checkpoint of step \(step) was not written: \(reason); training goes on", level: .error)
      handover = nil
      return send(.checkpointTaken(step: step), to: failed.from)
    }
    // The workers keep the state meanwhile.
    if checkpointProblem != reason {
      report(
        .checkpoint, "the checkpoint of step \(step) was not written: \(reason); it is tried again until that works",
        level: .error)
    }
    checkpointProblem = reason
    handover?.stage = .fetched(notBefore: now + .seconds(2))
  }

  /// A worker handed over another state than the one that was committed: its memory cannot be trusted.
  mutating func checkpointRefused(_ step: UInt64, _ reason: String) {
    mark { $0.position.pendingCheckpoint = nil }
    guard let refused = handover, refused.step == step else { return }
    handover = nil
    report(.corruption, "\(refused.from)'s copy of the state before step \(step): \(reason)", level: .error)
    let worker = refused.from
    ask { $0.lost(worker, .fenced, reason: "its checkpoint is not the committed state", at: $1) }
  }

  // MARK: Serving

  /// Has a checkpoint read. The workers that need it are told when it can be fetched.
  mutating func read(_ step: UInt64) {
    guard readingCheckpoint != step else { return }
    readingCheckpoint = step
    effects.append(.readCheckpoint(step: step))
  }

  mutating func checkpointRead(_ step: UInt64) {
    (servedCheckpoint, readingCheckpoint) = (step, nil)
    let waiting = membership.awaitingCheckpoint(of: step)
    perform(waiting)
  }
}
