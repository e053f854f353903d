// What a worker does: everything that its decisions can cause. Whoever carries effects out does so in their order.
import Ring
import Shared

/// Something to do.
package enum WorkerEffect {
  case send(WorkerMessage)
  /// Say hello: who and where this worker is, and what it did before.
  case introduce(past: Hello.Past?)
  /// Connect to the coordinator anew; the number is a part of the connection's name.
  case connect(Int)

  // Blobs.
  /// Ask the coordinator, or a peer at its endpoint, for a piece.
  case ask(BlobRequest, peer: String?)
  /// No peer is asked any more.
  case doneAsking
  /// Append the payload of the present message to the copy of this blob that is being fetched; at offset 0, begin anew.
  case keep(BlobPiece)
  /// Answer the coordinator, or a peer.
  case serve(BlobRequest, peer: Int?)
  /// Encode a copy of the present state; answered by `published`.
  case publish(step: UInt64)
  /// Forget the published copies of all other steps.
  case withdraw(except: [UInt64])

  // The run and its state.
  /// The indexes are here: make all that a run needs; answered by `ready` or `damaged`.
  case begin(Welcome, indexes: [BlobDescription])
  /// Answered by `obtained`: the state that is there already, the initial values, or the fetched blobs.
  case keepState(step: UInt64)
  case initialise
  case load(step: UInt64, model: BlobDescription, trainer: BlobDescription)

  // A step.
  case openRing(Generation)
  case closeRing
  /// Sums of lanes that were kept are not to be used.
  case discardSums
  /// Compute those of the lanes that are not summed up yet.
  /// - Parameter raised: exponents that the attempt before found too small; empty at the first.
  case compute(step: UInt64, attempt: UInt8, lanes: [Int], raised: [RaisedExponent])
  /// A lane failed that can be computed after all.
  case retry(step: UInt64, lane: Int)
  /// Look whether any clips of the index can be read here, and then whether this one can; answered by `probed`. One that
  /// is asked for while another goes on is not made.
  case probe(clip: Int?)
  /// All lanes are summed up: what was not yet started of the reduction starts.
  case reduce
  /// Offer the ballot, with the newest directive that this rank agrees to.
  case vote(directive: UInt64)
  /// Apply the reduced sum, or nothing where the step is skipped; answered by `applied`.
  case apply(step: UInt64, skipping: Bool)
  case evaluate(EvaluationTask)

  case log(LogLevel, String)
  /// The worker ends.
  case leave(reason: String, clean: Bool)
}

package enum LogLevel: Sendable {
  case info, warning, error
}
