// What happens to a coordinator: everything that its decisions can depend on, besides the time.
import Shared
import Wire

/// Something that happened.
package enum CoordinatorEvent {
  /// The process is up.
  /// - Parameter vanished: workers that the journal counts as present, and whose process on this machine is gone.
  case started(vanished: [WorkerIdentity])
  /// A message came whose sender's routing id names a worker.
  /// - Parameter payload: the bytes that came with it, if any did; the loop keeps them until the next event.
  case message(WorkerMessage, payload: Int?, from: Sender)
  /// A message came that cannot be decoded, or whose routing id names no worker.
  case unreadable(reason: String)
  /// Everything that had arrived was passed in: its steps can be journaled together.
  case drained
  /// Time has passed; comes several times a second.
  case tick
  /// A person asks for a stop, with a checkpoint. The second time: at once.
  case stopRequested
  /// The terminal is gone: as a first request to stop, and never as a second.
  case hungUp

  // The outcomes of effects.
  case processStarted(rank: Int, process: Int32)
  case processNotStarted(rank: Int, reason: String)
  /// A process that this coordinator started or adopted has ended.
  case processEnded(rank: Int, process: Int32, reason: String)
  /// There is no such process, or it is no worker of that rank.
  case processNotAdopted(rank: Int, process: Int32)
  /// A process that was to be inspected does not exist.
  case processVanished(WorkerIdentity)
  case fingerprintChanged(before: String, now: String)
  case checkpointWritten(step: UInt64)
  /// The disk failed.
  case checkpointFailed(step: UInt64, reason: String)
  /// A worker's copy is damaged, or not the state that the journal has.
  case checkpointRefused(step: UInt64, reason: String)
  /// `checkpoints/best` is the checkpoint of `step`; or what hindered that.
  case bestMarked(step: UInt64)
  case bestNotMarked(step: UInt64, reason: String)
  /// Workers can fetch the checkpoint now.
  case checkpointRead(step: UInt64)
  /// A checkpoint that was valid cannot be read any more; `newest` is the newest that can.
  case checkpointLost(step: UInt64, reason: String, newest: UInt64?)
}

/// The sender of a message: a worker, over one of its connections.
package struct Sender: Hashable, Sendable {
  package enum Channel: Hashable, Sendable {
    /// The connections of the main thread and of the heartbeat thread. Each new one has a higher number.
    case control(Int)
    case heartbeat(Int)
  }

  package var worker: WorkerIdentity
  package var channel: Channel

  package init(worker: WorkerIdentity, channel: Channel) {
    self.worker = worker
    self.channel = channel
  }
}
