// Checkpoints: when copies that workers hold are fetched, written, told of, and served to workers.
import Shared

extension CoordinatorMachine {
  /// A worker holds a copy: the newest one is fetched, older ones are let go.
  mutating func checkpointReady(_ step: UInt64, _ blobs: [BlobDescription], from worker: WorkerIdentity) {
    if let known = membership.checkpoint, known >= step { return send(.checkpointTaken(step: step), to: worker) }
    guard blobs.count == 2, handover.map({ $0.step < step && !$0.isBeingWritten }) ?? true else { return }
    dropHandover()
    handover = CheckpointHandover(step: step, from: worker, model: blobs[0].name, trainer: blobs[1].name, at: now)
    askForPieces()
  }

  mutating func dropHandover() {
    // What is being written will be answered; nobody waits for it any more.
    if handover?.isBeingWritten != true { handover = nil }
  }

  /// Asks again where an answer was lost; writes what is complete and may be written.
  mutating func askForCheckpoint() {
    guard let handover else { return }
    switch handover.stage {
    case .fetching: if now - handover.asked > .seconds(2) { askForPieces(again: true) }
    case .fetched(let notBefore): if now >= notBefore { writeCheckpoint() }
    case .writing: break
    }
  }

  private mutating func askForPieces(again: Bool = false) {
    guard let worker = handover?.from, let requests = handover?.requests(again: again) else { return }
    handover?.asked = now
    for request in requests { send(.blobRequest(request), to: worker) }
  }

  mutating func tookPiece(_ piece: BlobPiece, _ bytes: Int?, from worker: WorkerIdentity) {
    guard handover?.from == worker, let outcome = handover?.take(piece, bytes: bytes) else { return }
    switch outcome {
    case .keep:
      effects.append(.keep(piece))
      askForPieces()
    case .restart: askForPieces()
    case .ignored, .notYet: return
    case .failed(let reason):
      report(.checkpoint, "checkpoint of step \(handover?.step ?? 0): \(reason)", level: .warning)
      handover = nil
    case .last:
      effects.append(.keep(piece))
      guard case .fetched? = handover?.stage else { return askForPieces() }
      let step = handover?.step ?? 0
      mark { $0.isHandedOver = $0.phase == .stopped(next: step) }
      writeCheckpoint()
    }
  }

  /// Has the fetched checkpoint written once the journal holds every step below it.
  private mutating func writeCheckpoint() {
    writeDown()
    guard let done = handover, case .fetched = done.stage, collector.next >= done.step, let model = done.model,
      let trainer = done.trainer
    else { return }
    // A copy that cannot be compared with the journal, from before a restart: a newer one will come.
    if stateDigests[done.step] == nil, done.step > 0, !isAwaited {
      handover = nil
      return send(.checkpointTaken(step: done.step), to: done.from)
    }
    handover?.stage = .writing
    mark { $0.pendingCheckpoint = done.step }
    effects.append(
      .writeCheckpoint(step: done.step, model: model, trainer: trainer, state: stateDigests[done.step]))
  }

  mutating func wrote(_ step: UInt64) {
    checkpointProblem = nil
    mark {
      $0.checkpointed(step)
      $0.pendingCheckpoint = nil
    }
    stateDigests = stateDigests.filter { $0.key >= step }
    if let done = handover, done.step == step {
      handover = nil
      send(.checkpointTaken(step: step), to: done.from)
    }
    effects.append(.pruneCheckpoints)
  }

  /// Whether nothing goes on before the checkpoint is written.
  private var isAwaited: Bool {
    switch membership.phase {
    case .stopped, .paused: true
    case .recovering, .gathering, .halting, .preparing, .running: false
    }
  }

  /// A failure leaves the older checkpoints, and the training goes on; a checkpoint with which everybody stands still
  /// is tried again.
  mutating func checkpointFailed(_ step: UInt64, _ reason: String) {
    mark { $0.pendingCheckpoint = nil }
    guard let failed = handover, failed.step == step else { return }
    guard isAwaited else {
      report(.checkpoint, "the checkpoint of step \(step) was not written: \(reason); training goes on", level: .error)
      handover = nil
      return send(.checkpointTaken(step: step), to: failed.from)
    }
    // Nothing of the training is lost as long as the workers wait with it.
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
    mark { $0.pendingCheckpoint = nil }
    guard let refused = handover, refused.step == step else { return }
    handover = nil
    report(.corruption, "\(refused.from)'s copy of the state before step \(step): \(reason)", level: .error)
    let worker = refused.from
    ask { $0.lost(worker, .condemned, reason: "its checkpoint is not the committed state", at: $1) }
  }

  // MARK: Serving

  /// Has a checkpoint read; whoever needs it is told when it is there.
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

extension CheckpointHandover {
  var isBeingWritten: Bool { if case .writing = stage { true } else { false } }
}
