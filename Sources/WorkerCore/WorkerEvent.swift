// What happens to a worker: everything that its decisions can depend on, besides the time.
import Ring
import Shared
import Wire

/// Something that happened.
package enum WorkerEvent {
  case message(CoordinatorMessage, payload: Int?)
  /// A peer asks for a piece of a blob; the loop knows the peer by a number.
  case peerRequest(BlobRequest, peer: Int)
  /// A piece of a blob came from a peer.
  case peerPiece(BlobPiece, payload: Int?)
  /// A second has passed.
  /// - Parameters:
  ///   - unacknowledged: for how long the right neighbour has acknowledged nothing of what it was sent.
  ///   - unread: for how long lanes have waited for clips of which nothing was read.
  case tick(unacknowledged: Duration?, unread: Duration?)
  /// The connection to the right neighbour was closed by the other side.
  case rightClosed
  /// On the connection for heartbeats, the coordinator asks who this worker is.
  case askedForIdentity(run: String)
  /// SIGTERM or SIGINT.
  case askedToLeave
  /// Standard input ended: the process that started this worker is gone.
  case inputClosed

  // The outcomes of effects.
  /// The worker has all that the run needs, and has run the self-test.
  /// - Parameter dataLost: why no clip can be read, if so.
  case ready(SelfTest, RunRules, dataLost: String?)
  /// The fetched blobs are damaged.
  case damaged(reason: String)
  /// The state before `step` is here.
  case obtained(step: UInt64, weights: Digest128)
  /// A copy of the state before `step` can be fetched.
  case published(step: UInt64, blobs: [BlobDescription])
  /// All lanes of this rank are summed.
  case lanesSummed(step: UInt64, attempt: UInt8)
  /// - Parameter clip: the one that could not be decoded, if that was the cause.
  case laneFailed(step: UInt64, lane: Int, clip: Int?, reason: String)
  /// Some clips of the index were tried.
  /// - Parameters:
  ///   - reads: whether one of them can be read; then `clip` was tried again.
  ///   - clip: the clip that was asked for, if any, and whether it can be read.
  case probed(reads: Bool, clip: (number: Int, reads: Bool)?, reason: String)
  /// The sum is complete.
  case reduced
  /// All ballots of the step in flight are here, by position.
  /// - Parameters:
  ///   - clips: `ClipPairs` of what each of the step's lanes is to train.
  ///   - describe: puts gradients that are not finite into words.
  case ballots([Ballot], clips: [Digest128], describe: ([NonFiniteGradient]) -> String)
  case applied(CommitRecord)
  case evaluated(EvaluationTask.ID, EvaluationResult)
  /// What was fetched for an evaluation can be used.
  case besideLoaded
}

/// The recipe's rules for a worker.
package struct RunRules: Sendable {
  package var skipsNonFinite = false
  /// Whether the state before a step is kept as a checkpoint.
  package var isCheckpoint: @Sendable (UInt64) -> Bool
  /// Whether the state before a step is to be evaluated: then its copy is kept until the coordinator has it.
  package var isValidated: @Sendable (UInt64) -> Bool = { _ in false }
  /// Without a coordinator for so long, a worker whose standard input is closed ends.
  package var orphanAfter = Duration.seconds(60)
  /// Without an acknowledgement for so long, the link to the right neighbour counts as broken.
  package var linkAfter = Duration.seconds(3)
  /// A read that makes no progress for so long counts as lost data: a dead network mount blocks for ever.
  package var readAfter = Duration.seconds(30)
  /// A coordinator that was heard within this time is connected.
  package var pulseWithin = Duration.milliseconds(750)
  /// A connection over which nothing was heard for so long is replaced.
  package var reconnectAfter = Duration.seconds(3)

  /// Bounds of the coordinator's messages.
  package var limits = MessageLimits.anyRun

  package init(isCheckpoint: @escaping @Sendable (UInt64) -> Bool) {
    self.isCheckpoint = isCheckpoint
  }
}

/// Counts from which the coordinator tells a hang from slowness: as long as one of them grows, nothing hangs.
package struct WorkCounts {
  package var lanesDone = 0
  /// Tensors whose gradients lanes have added.
  package var tensors: UInt64 = 0
  /// Clips decoded, and bytes of them read.
  package var read: UInt64 = 0
  /// Bytes of blobs that were served.
  package var served: UInt64 = 0
  /// Bytes that came over the ring.
  package var received: UInt64 = 0
  /// The position in the ring whose frames are missing.
  package var waitsFor: Int?

  package init() {}
}
