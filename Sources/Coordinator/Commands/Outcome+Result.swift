// What the end of a coordinator's work means for the command: a result, or an error with an exit code.
import CoordinatorCore
import Shared
import Wire

extension Outcome {
  /// - Returns: the evaluation's sums, if there was one.
  /// - Throws: `SharedError` where the work was not finished.
  func result(checkpoint: String, journal: String = "run.db") throws -> EvaluationResult? {
    switch self {
    case .done(let result): return result
    case .interrupted: throw SharedError(.interrupted, "stopped by a signal, with a checkpoint at \(checkpoint)")
    case .stoppedAtOnce: throw SharedError(.interrupted, "stopped at once; the newest checkpoint stays")
    // A failed run never ends with exit code 0, whatever a worker says.
    case .failed(let status, let reason): throw SharedError(status == .done ? .failed : status, reason)
    case .damaged(let reason): throw SharedError(.badData, "\(journal): \(reason)")
    }
  }
}
