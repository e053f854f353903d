// What a coordinator does: everything that its decisions can cause. Effects are performed in their order.
import Shared
import Wire

/// Something to do.
package enum CoordinatorEffect {
  case send(CoordinatorMessage, to: Sender)
  /// Answer a request for a piece of a blob, even if there is no such blob.
  case serve(BlobRequest, to: Sender)
  /// Make something durable before anything else is done.
  case journal(JournalEntry)
  /// Append the payload of the present message to the copy of this blob that is being fetched; at offset 0, start over.
  case keep(BlobPiece)
  /// Write the fetched blobs as the checkpoint of `step`, off the loop.
  /// - Parameter state: the digest that the journal has for this state; nil where it has none.
  case writeCheckpoint(step: UInt64, model: BlobDescription, trainer: BlobDescription, state: Digest128?)
  /// Remove the checkpoints that the recipe does not keep, but for these.
  case pruneCheckpoints(sparing: [UInt64])
  /// Let `checkpoints/best` be the checkpoint of `step`, with its figures beside it, off the loop.
  case markBest(step: UInt64, ValidationFigures)
  /// Read the checkpoint of `step`, so that workers can fetch it, off the loop.
  case readCheckpoint(step: UInt64)
  /// Let workers fetch what the batch norms of the state before `step` were measured to be.
  case serveNorms(step: UInt64, MeasuredNorms)
  /// Start the worker of a rank.
  case launch(rank: Int)
  /// Watch a worker's process on this machine that an earlier coordinator started.
  case adopt(rank: Int, process: Int32)
  /// Look whether a worker's process on this machine still exists.
  case inspect(WorkerIdentity, process: Int32)
  case endProcess(Int32)
  case endAllProcesses
  case report(RunEvent)
  /// A step was written down, and the run is here now.
  case showStep(CommittedStep, RunStatus)
  case showEvaluation(RunStatus)
  /// The coordinator's work is done.
  case finish(Outcome)
}

/// What is written to the journal.
package enum JournalEntry {
  case joined(WorkerIdentity, Hello)
  case left(WorkerIdentity, reason: String)
  /// All workers that the journal counts as present have left.
  case disbanded(reason: String)
  case generation(Generation, reason: String)
  /// What the members' bits depend on; answered by `fingerprintChanged` where the run began with something else.
  case fingerprint(String)
  /// - Parameter excluded: the clips that steps go without.
  case steps([CommittedStep], excluded: [ClipExclusion])
  case rollBack(to: UInt64, reason: String)
  case directive(Directive)
  case exclusion(ClipExclusion, reason: String)
  /// The state before `step`, of this digest, was evaluated.
  case evaluation(step: UInt64, state: Digest128?, EvaluationResult)
  /// Training waits before this step because no worker can read its data; and goes on.
  case paused(step: UInt64, reason: String)
  case resumed
}

/// How a coordinator's work ends.
package enum Outcome: Equatable {
  /// Everything is done; with the evaluation's sums, if there was one.
  case done(EvaluationResult?)
  /// A person stopped it, after a checkpoint.
  case interrupted
  /// A person stopped it at once.
  case stoppedAtOnce
  case failed(ExitStatus, String)
  /// The journal is damaged: workers keep what they have, and wait.
  case damaged(String)
}

/// Something that a person may want to know, and that the journal keeps.
package struct RunEvent: Equatable, Sendable {
  package enum Kind: String, Sendable {
    case workerJoined, workerLeft, workerRefused, workerSuspected, workerRecovered, workerReturned, processEnded
    case generation, balance, clip, data, corruption, fault
    case rollback, checkpoint, evaluation, stop, message, fingerprint, restart
  }

  package enum Level: String, Sendable {
    case info, warning, error
  }

  package var kind: Kind
  package var level: Level
  package var text: String

  package init(_ kind: Kind, _ text: String, level: Level = .info) {
    self.kind = kind
    self.level = level
    self.text = text
  }
}
