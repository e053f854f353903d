// Encodes copies of the training state off the event loop, so that a step never waits for it.
import Checkpoint
import Dispatch
import Foundation
import Shared
import Synchronization
import Wire

/// Turns copies of states into blobs, one after the other; `wake` tells that one is done.
final class StatePublisher: Sendable {
  /// A state as the two blobs of a checkpoint.
  struct Published: Sendable {
    let step: UInt64
    let files: CheckpointFiles
    let model: BlobDescription
    let trainer: BlobDescription
  }

  private let queue = DispatchQueue(label: "states")
  private let done = Mutex<[Published]>([])
  private let wake: @Sendable () -> Void

  init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  /// What was encoded since the last call.
  func results() -> [Published] {
    done.withLock { list in
      defer { list = [] }
      return list
    }
  }

  func encode(_ draft: CheckpointDraft, step: UInt64) {
    queue.async { [self] in
      let files = draft.files()
      let published = Published(
        step: step, files: files, model: BlobDescription(name: StateBlobs.model(step), files.model),
        trainer: BlobDescription(name: StateBlobs.trainer(step), files.trainer))
      done.withLock { $0.append(published) }
      wake()
    }
  }
}
