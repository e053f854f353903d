// How each effect of the coordinator's machine is performed.
import CoordinatorCore
import Foundation
import Glibc
import Messaging
import RunJournal
import Shared
import Wire

extension CoordinatorLoop {
  /// - Returns: what became of it, where that is known at once.
  func perform(_ effect: CoordinatorEffect) throws -> CoordinatorEvent? {
    switch effect {
    case .send(let message, let receiver): try send(message, to: receiver)
    case .serve(let request, let receiver):
      let (piece, bytes) = blobs.answer(request)
      try send(.blobPiece(piece), payload: bytes, to: receiver)
    case .journal(let entry):
      if case .fingerprint(let text) = entry, let before = try durably({ try $0.fingerprint(text) }) ?? nil {
        return .fingerprintChanged(before: before, now: text)
      }
      _ = try durably { try $0.write(entry) }
    case .keep(let piece): try incoming.keep(piece)
    case .writeCheckpoint(let step, let model, let trainer, let state):
      checkpoints?.write(
        step, model: incoming.bytes(model.name), trainer: incoming.bytes(trainer.name), as: (model, trainer),
        state: state)
      // A failed write is tried again with the same bytes.
      incoming.forget(except: [model.name, trainer.name])
    case .pruneCheckpoints(let spared):
      incoming.forget()
      checkpoints?.prune(keep: plan.recipe.checkpoint.keep, sparing: spared.map { Int($0) })
    case .markBest(let step, let figures): checkpoints?.markBest(step, figures)
    case .readCheckpoint(let step): checkpoints?.read(step)
    case .serveNorms(let step, let norms):
      blobs.removeAll { $0.hasPrefix("norms/") }
      blobs.put(StateBlobs.norms(step), Data(norms.bytes))
    case .launch(let rank):
      do {
        let process = try fleet.start(rank, keys: try newKeys(rank))
        return .processStarted(rank: rank, process: process)
      } catch { return .processNotStarted(rank: rank, reason: "\(error)") }
    case .adopt(let rank, let process):
      if !fleet.adopt(rank, process) { return .processNotAdopted(rank: rank, process: process) }
    case .inspect(let worker, let process):
      if kill(process, 0) == -1, errno == ESRCH { return .processVanished(worker) }
    case .endProcess(let process): fleet.kill(process)
    case .endAllProcesses: fleet.killAll()
    case .report(let event): show(event)
    case .showStep(let step, let status): show(step, status)
    case .showEvaluation(let status): display.progress(status.progressLine, at: now)
    case .finish: display.clear()
    }
    return nil
  }

  /// The keys of a worker that is about to be started. A coordinator that is started again must know it.
  private func newKeys(_ rank: Int) throws -> WorkerKeys? {
    guard let life = keys?.newLife(rank: rank) else { return nil }
    _ = try durably { try $0.admitted(life.keys.own.publicKey, as: life.worker) }
    return life.keys
  }

  /// What finds nobody is lost: what matters is sent again.
  func send(_ message: CoordinatorMessage, payload: Data? = nil, to receiver: Sender) throws {
    try door.send(ControlCodec.encode(message, payload: payload), to: receiver.name)
  }

  func show(_ event: RunEvent) {
    display.line(event.line)
    do { try journal?.write(event) } catch { display.line("the journal could not take an event: \(error)") }
  }

  private func show(_ step: CommittedStep, _ status: RunStatus) {
    stepLedger?.add(step)
    display.progress(status.progressLine, at: now, matters: status.endsEpoch)
    if status.endsEpoch { display.keepProgress() }
    for line in stepLedger?.lines(at: now, endsEpoch: status.endsEpoch) ?? [] { display.line(line) }
  }
}

extension Sender {
  /// - Returns: nil for a connection that is not to a coordinator.
  init?(_ name: ConnectionName) {
    switch name.channel {
    case .control: self.init(worker: name.worker, channel: .control(name.number))
    case .heartbeat: self.init(worker: name.worker, channel: .heartbeat(name.number))
    case .ring, .blobs: return nil
    }
  }

  var name: ConnectionName {
    switch channel {
    case .control(let number): ConnectionName(worker, .control, number: number)
    case .heartbeat(let number): ConnectionName(worker, .heartbeat, number: number)
    }
  }
}
