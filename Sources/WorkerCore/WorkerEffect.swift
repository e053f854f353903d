// What a worker does: everything that its decisions can cause. Effects are performed in their order.
import Ring
import Wire

/// Something to do.
package enum WorkerEffect {
  case send(WorkerMessage)
  /// Send a hello: who and where this worker is, and its past.
  case introduce(past: Hello.Past?)
  /// Reconnect to the coordinator; the number is a part of the connection's name.
  case connect(Int)

  // Blobs.
  /// Ask the coordinator, or a peer at its endpoint, for a piece.
  case ask(BlobRequest, peer: String?)
  /// No peer is asked any more.
  case doneAsking
  /// Append the payload of the present message to the copy of this blob that is being fetched; at offset 0, start over.
  case keep(BlobPiece)
  /// Answer the coordinator, or a peer.
  case serve(BlobRequest, peer: Int?)
  /// Encode a copy of the present state; answered by `published`.
  case publish(step: UInt64)
  /// Forget the published copies of all other steps.
  case withdraw(except: [UInt64])

  // The run and its state.
  /// The indexes are here: prepare the run; answered by `ready` or `damaged`.
  case begin(Welcome, indexes: [BlobDescription])
  /// Answered by `obtained`: the state that is there already, the initial values, or the fetched blobs.
  case keepState(step: UInt64)
  case initialise
  case load(step: UInt64, model: BlobDescription, trainer: BlobDescription)

  // A step.
  /// Let in these peers too, which prepare for this generation.
  case admit([Peer], generation: UInt32)
  case openRing(Generation)
  case closeRing
  /// Drop the sums of lanes that were kept.
  case discardSums
  /// Compute the lanes that are not summed yet.
  /// - Parameter raised: exponents that the attempt before found too small; empty at the first.
  case compute(step: UInt64, attempt: UInt8, lanes: [Int], raised: [RaisedExponent])
  /// Compute a lane again that failed.
  case retry(step: UInt64, lane: Int)
  /// Find out whether any clips of the index can be read here, and then whether this one can; answered by `probed`.
  /// Ignored while another probe goes on.
  case probe(clip: Int?)
  /// All lanes are summed: start the rest of the reduction.
  case reduce
  /// Offer the ballot, with what this rank has heard of the coordinator.
  case vote(Heard)
  /// Apply the reduced sum, or nothing where the step is skipped; answered by `applied`.
  case apply(step: UInt64, skipping: Bool)
  case evaluate(EvaluationTask)
  /// Make room for what tasks evaluate beside the present state: the fetched model of one that the run has passed,
  /// measured batch norms, or both; answered by `besideLoaded` or `damaged`. And give the room back.
  case loadBeside(step: UInt64, [BlobDescription])
  case forgetBeside

  case log(LogLevel, String)
  /// The worker ends.
  case leave(reason: String, clean: Bool)
}

package enum LogLevel: Sendable {
  case info, warning, error
}
