// The messages between coordinator and workers. `ControlCodec` defines their wire format.
import Shared

/// From a worker to the coordinator.
public enum WorkerMessage: Hashable, Sendable, Codable {
  /// Asks to join. Resent until answered.
  case hello(Hello)
  /// Alive; sent from a thread of its own.
  case heartbeat(Progress)
  /// A state report: sent after `halt`, at the boundary at which a directive took effect or training ended, and,
  /// in generation 0, when it is ready to be given the state for the first time.
  case standing(StateReport)
  /// This rank holds the state before `step`, and is ready for generation `generation`.
  case prepared(generation: UInt32, step: UInt64, weights: Digest128)
  /// This rank has applied a step. Resent until acknowledged.
  case committed(CommitRecord)
  /// A copy of the state before `step` is ready for the coordinator to pull as a checkpoint.
  case checkpointReady(step: UInt64, blobs: [BlobDescription])
  case evaluated(EvaluationTask.ID, EvaluationResult)
  case fault(Fault)
  /// This worker was asked to end, and asks to be released at the next boundary.
  case leaving
  /// Blobs are pulled in both directions, and between workers.
  case blobRequest(BlobRequest)
  case blobPiece(BlobPiece)
}

/// From the coordinator to a worker.
public enum CoordinatorMessage: Hashable, Sendable, Codable {
  /// Admitted. The worker pulls the indexes and waits.
  case welcome(Welcome)
  /// Not admitted, or no longer wanted: the worker ends. `clean` if nothing is wrong.
  case dismiss(reason: String, clean: Bool)
  /// A member died or a new one waits: stop before applying anything else, and send a state report.
  case halt(generation: UInt32)
  /// Get the state before `step` from `source`, and admit the peers that take part in the generation.
  case prepare(generation: UInt32, step: UInt64, source: StateSource, peers: [Peer] = [])
  case begin(Generation)
  /// All steps below `step` are durable in the journal.
  case acknowledged(step: UInt64)
  /// Answers a heartbeat, with the directives that are still pending.
  case pulse([Directive])
  /// The copy for the checkpoint of `step` is no longer needed.
  case checkpointTaken(step: UInt64)
  case evaluate(EvaluationTask)
  /// The coordinator does not know the sender. A worker of this run then sends its hello again.
  case identify(run: String)
  case blobRequest(BlobRequest)
  case blobPiece(BlobPiece)
}

/// A message whose length tells something: most are short.
public protocol ControlMessage: Codable, Sendable {
  /// Whether it holds a recipe, or a list of clips or workers.
  var mayBeLong: Bool { get }
}

extension WorkerMessage: ControlMessage {
  public var mayBeLong: Bool { if case .evaluated = self { true } else { false } }
}

extension CoordinatorMessage: ControlMessage {
  public var mayBeLong: Bool {
    switch self {
    case .welcome, .prepare, .begin, .evaluate: true
    default: false
    }
  }
}

/// The source of a state transfer.
public enum StateSource: Hashable, Sendable, Codable {
  /// The worker's own memory: a frozen step is applied if it lies below the wanted one, else discarded. `skipping` if
  /// the others applied that step without changing anything.
  case own(skipping: Bool)
  /// The published initial values.
  case initial
  /// A live peer, at its endpoint.
  case peer(endpoint: String)
  /// The coordinator's checkpoint.
  case coordinator
}
