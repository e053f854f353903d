// What a membership's decisions ask of `CoordinatorMachine`.
import Shared
import Wire

extension Membership {
  enum Action: Equatable {
    case send(WorkerIdentity, CoordinatorMessage)
    /// Greet a newcomer with the recipe and the indexes.
    case welcome(WorkerIdentity)
    /// End a process that is no longer wanted, if it is ours.
    case kill(WorkerIdentity, reason: String)
    case launch(rank: Int)
    case joined(WorkerIdentity, Hello)
    case left(WorkerIdentity, reason: String)
    /// All steps from here on are recomputed. The journal keeps them as history.
    case rollBack(to: UInt64)
    /// - Parameter state: the digest of the state before its first step.
    case begin(Generation, state: Digest128?, reason: String)
    /// To be journaled before it is announced.
    case directive(Directive)
    /// The step goes without the clip; to be journaled before it is announced.
    case exclude(ClipExclusion, reason: String)
    case report(RunEvent)
    /// Training waits for data from now on; to be journaled.
    case paused(step: UInt64, reason: String)
    case resumed
    /// The run ends with an error: at once, or at the next boundary with a checkpoint.
    case end(ExitStatus, String, atOnce: Bool)
  }
}
