// Checkpoints: copies that workers hold ready are pulled over, written, verified and told of; and served to workers.
import Checkpoint
import Foundation
import RunJournal
import Shared

/// A checkpoint on its way from a worker.
struct CheckpointFetch {
  let step: UInt64
  let from: WorkerIdentity
  var waiting: [BlobFetch]
  var done: [Data] = []
  var asked: Duration
  /// When the disk failed, the next try.
  var notBefore = Duration.zero
}

extension CoordinatorService {
  /// A worker holds a copy ready: the newest one is fetched, older ones are let go.
  func checkpointReady(_ step: UInt64, _ blobs: [BlobDescription], from worker: WorkerIdentity) throws {
    if let known = newestCheckpoint, UInt64(known.step) >= step {
      return try send(.checkpointTaken(step: step), to: worker)
    }
    guard checkpointFetch == nil || (checkpointFetch.map { $0.step < step } ?? false), blobs.count == 2 else { return }
    checkpointFetch = CheckpointFetch(step: step, from: worker, waiting: blobs.map { BlobFetch($0.name) }, asked: now)
    try askForPiece()
  }

  /// Asks again where an answer was lost; writes what is complete and may be written.
  func askForCheckpoint() throws {
    guard let fetch = checkpointFetch else { return }
    if fetch.waiting.isEmpty { return now >= fetch.notBefore ? try writeCheckpoint() : () }
    if now - fetch.asked > .seconds(2) { try askForPiece() }
  }

  private func askForPiece() throws {
    guard let request = checkpointFetch?.waiting.first?.request, let worker = checkpointFetch?.from else { return }
    checkpointFetch?.asked = now
    try send(.blobRequest(request), to: worker)
  }

  func tookCheckpoint(_ piece: BlobPiece, _ payload: Data?, from worker: WorkerIdentity) throws {
    guard let fetch = checkpointFetch, fetch.from == worker, let waiting = fetch.waiting.first else { return }
    switch waiting.take(piece, payload) {
    case .more: try askForPiece()
    case .ignored, .notYet: return
    case .failed(let reason):
      note("checkpoint of step \(fetch.step): \(reason)", level: .warning)
      checkpointFetch = nil
    case .done(let data):
      checkpointFetch?.waiting.removeFirst()
      checkpointFetch?.done.append(data)
      membership.isHandedOver = membership.phase == .stopped(next: fetch.step) && fetch.waiting.count == 1
      if fetch.waiting.count == 1 { try writeCheckpoint() } else { try askForPiece() }
    }
  }

  /// Writes the fetched checkpoint once the journal holds every step below it. A failure leaves the older ones.
  private func writeCheckpoint() throws {
    try writeDown()
    guard let fetch = checkpointFetch, let store, fetch.done.count == 2, collector.next >= fetch.step else { return }
    checkpointFetch = nil
    do {
      let stored = try store.write(Int(fetch.step), CheckpointFiles(model: fetch.done[0], trainer: fetch.done[1]))
      let row = CheckpointRecord(
        step: stored.step, path: stored.path, manifestSha256: stored.manifestDigest, bytes: stored.bytes,
        createdAt: .now)
      try durably { try $0.record(row) }
      newestCheckpoint = stored
      membership.checkpointed(fetch.step)
      try send(.checkpointTaken(step: fetch.step), to: fetch.from)
      try prune(store)
    } catch let error as CheckpointError {
      guard case .stopped = membership.phase else {
        note("the checkpoint of step \(fetch.step) was not written: \(error); training goes on", level: .error)
        return try send(.checkpointTaken(step: fetch.step), to: fetch.from)
      }
      // The last one: nothing of the training is lost as long as the workers wait with it.
      if checkpointFailure != "\(error)" {
        note("the last checkpoint was not written: \(error); it is tried again until that works", level: .error)
      }
      checkpointFailure = "\(error)"
      checkpointFetch = fetch
      checkpointFetch?.notBefore = now + .seconds(2)
    }
  }

  /// Removes the oldest checkpoints. One that cannot be removed stays, and is tried again after the next one.
  private func prune(_ store: CheckpointStore) throws {
    let before = try store.list()
    do { try store.prune(keep: plan.recipe.checkpoint.keep) } catch let error as CheckpointError {
      note("old checkpoints were not removed: \(error)", level: .warning)
    }
    for step in Set(before).subtracting(try store.list()).sorted() {
      try durably { try $0.checkpointRemoved(step: step, reason: "pruned", at: .now) }
    }
  }

  /// Makes the checkpoint of `step` available to workers. If it cannot be read any more, the newest that can be takes
  /// its place.
  func shelveCheckpoint(_ step: UInt64) throws {
    let prefix = "state/\(step)/"
    guard shelf.description(prefix + CheckpointFiles.modelName) == nil, let store else { return }
    let files: CheckpointFiles
    do { files = try store.read(Int(step)) } catch let error as CheckpointError {
      // It was whole when it was written, or when the run was resumed.
      note("the checkpoint of step \(step) cannot be used any more: \(error)", level: .error)
      newestCheckpoint = try store.newestValid { try journal?.stateDigest(before: $0) }.newest
      return try perform(membership.checkpointLost(newest: newestCheckpoint.map { UInt64($0.step) }, at: now))
    }
    shelf.removeAll { $0.hasPrefix("state/") }
    shelf.put(prefix + CheckpointFiles.modelName, files.model)
    shelf.put(prefix + CheckpointFiles.trainerName, files.trainer)
  }
}
