// Checkpoints on disk, off the event loop: one thread hashes, writes, reads and prunes, in the order asked for.
import Checkpoint
import CoordinatorCore
import Dispatch
import Foundation
import Shared
import Synchronization
import Wire

/// The run's checkpoint directory. Each call is answered by an event in `events`.
final class CheckpointKeeper: Sendable {
  enum Event: Sendable {
    case written(StoredCheckpoint)
    case failed(step: UInt64, reason: String)
    /// The bytes are not those that were announced, or not the state that the journal has.
    case refused(step: UInt64, reason: String)
    case pruned([Int])
    case pruningFailed(String)
    case read(step: UInt64, CheckpointFiles)
    case lost(step: UInt64, reason: String, newest: UInt64?)
    case marked(step: UInt64)
    case notMarked(step: UInt64, reason: String)
  }

  private let store: CheckpointStore
  private let queue = DispatchQueue(label: "checkpoints")
  private let newestWritten: Mutex<StoredCheckpoint?>
  let events: Mailbox<Event>

  /// The newest checkpoint that is known to be whole.
  var newest: StoredCheckpoint? { newestWritten.withLock { $0 } }

  init(_ store: CheckpointStore, newest: StoredCheckpoint?, wake: @escaping @Sendable () -> Void) {
    self.store = store
    events = Mailbox(wake: wake)
    newestWritten = Mutex(newest)
  }

  func write(
    _ step: UInt64, model: Data, trainer: Data, as descriptions: (model: BlobDescription, trainer: BlobDescription),
    state: Digest128?
  ) {
    work { [self] in
      guard Digest128(of: model) == descriptions.model.digest, Digest128(of: trainer) == descriptions.trainer.digest
      else { return [.refused(step: step, reason: "it was damaged on its way")] }
      let files = CheckpointFiles(model: model, trainer: trainer)
      if let state {
        guard let found = try? files.stateDigest(), found == state else {
          return [.refused(step: step, reason: "it is not the state that was committed")]
        }
      }
      do {
        let stored = try store.write(Int(step), files)
        newestWritten.withLock { $0 = stored }
        return [.written(stored)]
      } catch { return [.failed(step: step, reason: "\(error)")] }
    }
  }

  /// Removes the oldest. One that cannot be removed stays, and is tried again after the next checkpoint.
  func prune(keep count: Int, sparing spared: [Int]) {
    work { [self] in
      var events: [Event] = []
      do {
        let before = try store.list()
        do { try store.prune(keep: count, sparing: Set(spared)) } catch { events.append(.pruningFailed("\(error)")) }
        let removed = Set(before).subtracting(try store.list()).sorted()
        if !removed.isEmpty { events.append(.pruned(removed)) }
      } catch { events.append(.pruningFailed("\(error)")) }
      return events
    }
  }

  func read(_ step: UInt64) {
    work { [self] in
      do { return [.read(step: step, try store.read(Int(step)))] } catch {
        // It was whole when it was written, or when the run was resumed.
        let newest = try? store.newestValid().newest
        newestWritten.withLock { $0 = newest }
        return [.lost(step: step, reason: "\(error)", newest: newest.map { UInt64($0.step) })]
      }
    }
  }

  /// Lets `best` be the checkpoint of a step, with the figures of its evaluation beside it.
  func markBest(_ step: UInt64, _ figures: ValidationFigures) {
    work { [self] in
      do {
        try store.markBest(Int(step), description: BestModel(step: step, figures).json())
        return [.marked(step: step)]
      } catch { return [.notMarked(step: step, reason: "\(error)")] }
    }
  }

  /// Returns when all that was asked for is done.
  func finish() { queue.sync {} }

  private func work(_ job: @escaping @Sendable () -> [Event]) {
    queue.async { [events] in events.put(job()) }
  }
}
