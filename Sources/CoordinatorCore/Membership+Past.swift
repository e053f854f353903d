// What the journal knows of a run when a coordinator starts.
import Shared
import Wire

extension Membership {
  package struct Past {
    /// The last generation, and the highest number of any.
    package var generation: Generation?
    package var number: UInt32 = 0
    /// Workers that had not left when the journal was last written.
    package var present: Set<WorkerIdentity> = []
    /// The directives since the last generation began.
    package var directives: [Directive] = []
    /// Committed steps, and the digest of the state that they led to.
    package var next: UInt64 = 0
    package var state: Digest128?
    /// Steps that the journal ever held, those that were rolled back included.
    package var held: UInt64 = 0
    /// How the last of them was applied.
    package var last: StateReport.Last?
    /// The step of the newest valid checkpoint; nil where there is none.
    package var checkpoint: UInt64?
    package var exclusions: [ClipExclusion] = []
    /// See `RunPosition.rolledBack`; all workers where a rollback is the last entry.
    package var rolledBack: UInt32 = 0
    /// How long the run has been waiting for data, if it is.
    package var pausedFor: Duration?
    /// The results of the evaluations of states that the live steps lead to, by the step before which the state was.
    package var evaluated: [UInt64: ValidationFigures] = [:]
    /// The results of states that the live steps do not lead to; they may come to them again.
    package var rolledBackEvaluations: [UInt64: ValidationFigures] = [:]
    /// The step of the best of these of which there is a checkpoint.
    package var best: UInt64?
    /// The steps of all checkpoints, and the digests of the states that were to be evaluated and were not.
    package var stored: Set<UInt64> = []
    package var passedStates: [UInt64: Digest128] = [:]
    /// What the committed steps came to, from the first one on of the epoch that the newest checkpoint is in.
    package var figures: [StepFigures] = []
    package var figuresFrom = 0

    package init(checkpoint: UInt64? = nil) { self.checkpoint = checkpoint }

    /// Sets `rolledBack`, once the generation and `next` are known.
    /// - Parameter newest: the highest generation of which a step was rolled back.
    package mutating func setRolledBack(newest: UInt32) {
      guard let generation else { return }
      let isLast = next < generation.startStep || newest == generation.number
      rolledBack = isLast ? .max : generation.rolledBack
    }
  }
}
