// Turns a coordinator's outcome into the command's result, or an error with an exit code.
import CoordinatorCore
import Shared
import Wire

extension Outcome {
  /// - Returns: the sums of the evaluation, if there was one.
  /// - Throws: `SharedError` if the run did not finish.
  func result(checkpoint: String, journal: String = "run.db") throws -> EvaluationResult? {
    switch self {
    case .done(let result): return result
    case .interrupted: throw SharedError(.interrupted, "stopped by a signal, with a checkpoint at \(checkpoint)")
    case .stoppedAtOnce: throw SharedError(.interrupted, "stopped at once; the newest checkpoint stays")
    // A failed run never exits with 0, whatever status a worker sent.
    case .failed(let status, let reason): throw SharedError(status == .done ? .failed : status, reason)
    case .damaged(let reason): throw SharedError(.badData, "\(journal): \(reason)")
    }
  }
}
