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
  /// Get the state before `step` from `source`.
  case prepare(generation: UInt32, step: UInt64, source: StateSource)
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

public struct Hello: Hashable, Sendable, Codable {
  public var host: String
  public var pid: Int32
  /// Threads that compute: the lanes that it computes at once, times the threads of each.
  public var threads: Int
  /// The endpoint at which its peers reach it.
  public var endpoint: String
  /// The fingerprint of what decides its bits: libraries, kernels, engine. It must be the same for all members of a
  /// run.
  public var fingerprint: [String: String]
  /// Its history, if it already is in a run.
  public var past: Past?

  /// What a worker reports to a coordinator that was restarted.
  public struct Past: Hashable, Sendable, Codable {
    /// The identity of the run that it belongs to.
    public var run: String
    /// The generation that it runs or prepares.
    public var number: UInt32
    /// Every step below this one is applied; nil without a state.
    public var next: UInt64?
    /// The coordinator has confirmed that every step below this one is in the journal.
    public var acknowledged: UInt64
    public var selfTest: SelfTest?

    public init(run: String, number: UInt32, next: UInt64?, acknowledged: UInt64, selfTest: SelfTest? = nil) {
      self.selfTest = selfTest
      self.run = run
      self.number = number
      self.next = next
      self.acknowledged = acknowledged
    }
  }

  public init(
    host: String, pid: Int32, threads: Int, endpoint: String, fingerprint: [String: String], past: Past? = nil
  ) {
    self.host = host
    self.pid = pid
    self.threads = threads
    self.endpoint = endpoint
    self.fingerprint = fingerprint
    self.past = past
  }
}

/// Digests of a worker's self-test: what it computes from fixed numbers, and decodes from the first clip, in the run's
/// shapes.
public struct SelfTest: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The digest of the gradients of a fixed lane.
  public var lane: Digest128
  /// The digest of the first clip of the index; nil if it cannot be decoded.
  public var clip: Digest128?

  public init(lane: Digest128, clip: Digest128?) {
    self.lane = lane
    self.clip = clip
  }

  /// Whether two machines compute the same bits, as far as the self-test shows.
  public func agrees(with other: SelfTest) -> Bool {
    lane == other.lane && (clip == nil || other.clip == nil || clip == other.clip)
  }

  public var description: String { "lane \(lane), clip \(clip.map(\.description) ?? "not decoded")" }
}

public struct Welcome: Hashable, Sendable, Codable {
  /// The identity of the run: drawn when it begins, kept in its journal.
  public var run: String
  /// The resolved recipe.
  public var recipe: String
  /// The clips of training and validation, as blobs that the coordinator serves.
  public var blobs: [BlobDescription]
  /// Training ends by itself when all steps below this one are applied.
  public var lastStep: UInt64

  public init(run: String = "", recipe: String, blobs: [BlobDescription], lastStep: UInt64) {
    self.run = run
    self.recipe = recipe
    self.blobs = blobs
    self.lastStep = lastStep
  }
}

/// A worker's progress: enough to tell a hang from slowness.
public struct Progress: Hashable, Sendable, Codable {
  public enum Phase: String, Hashable, Sendable, Codable {
    case idle, preparing, computing, reducing, voting
  }

  public var phase = Phase.idle
  public var generation: UInt32 = 0
  public var step: UInt64 = 0
  public var attempt: UInt8 = 0
  /// How many lanes are complete.
  public var lanesDone = 0
  /// Grows whenever a lane completes a tensor, a clip is read or decoded, or a blob's bytes are handed over or fetched.
  public var work: UInt64 = 0
  /// Bytes that came over the ring: grows with each frame.
  public var ringFrames: UInt64 = 0
  /// The rank whose frames it waits for.
  public var waitingFor: Int?
  /// Why it can read none of its data, while that is so.
  public var dataLost: String?
  /// Grows with each change of `dataLost`: a heartbeat may overtake a fault, and the other way round.
  public var dataReport = 0

  public init() {}
}

/// A state report: the rank has applied every step below `next`.
public struct StateReport: Hashable, Sendable, Codable {
  public var generation: UInt32
  /// Nil if it holds no state at all.
  public var next: UInt64?
  /// It trains no further, because this is the last step, or because a stop took effect at this boundary.
  public var stopped: Bool
  /// Lanes of step `next` whose sums it holds or computes; they need not be recomputed.
  public var held: [Int]
  /// In generation 0.
  public var selfTest: SelfTest?
  /// The reduction of step `next` whose sum it has frozen, if it has voted.
  public var vote: Vote?
  /// How step `next` − 1 was applied here; nil if it was not.
  public var last: Last?
  /// As in `Progress`.
  public var dataLost: String?
  public var dataReport = 0

  /// A reduction. All ranks that voted in it and committed have the same sum.
  public struct Vote: Hashable, Sendable, Codable {
    public var generation: UInt32
    public var attempt: UInt8

    public init(generation: UInt32, attempt: UInt8) {
      self.generation = generation
      self.attempt = attempt
    }
  }

  public struct Last: Hashable, Sendable, Codable {
    public var vote: Vote
    public var skipped: Bool

    public init(vote: Vote, skipped: Bool) {
      self.vote = vote
      self.skipped = skipped
    }

    public init(_ record: CommitRecord) {
      self.init(vote: Vote(generation: record.generation, attempt: record.attempt), skipped: record.skipped)
    }
  }

  public init(
    generation: UInt32, next: UInt64?, stopped: Bool = false, held: [Int] = [],
    selfTest: SelfTest? = nil, vote: Vote? = nil, last: Last? = nil, dataLost: String? = nil
  ) {
    self.dataLost = dataLost
    self.selfTest = selfTest
    self.vote = vote
    self.last = last
    self.generation = generation
    self.next = next
    self.stopped = stopped
    self.held = held
  }
}

/// Where one worker's time went in a step, in seconds.
///
/// The first five are means over its lane threads, and add up to the time until its lanes were done. Together with the
/// last three they add up to the step. The ring's work during the lanes costs nothing.
public struct StepTimes: Hashable, Sendable, Codable {
  /// Waiting for clips to be decoded.
  public var decodeWait = 0.0
  public var forward = 0.0
  public var backward = 0.0
  /// Quantising and accumulating gradients.
  public var quantise = 0.0
  /// Idle, without a lane to compute.
  public var idle = 0.0
  /// From the first bucket's start in the ring until the lanes were done.
  public var overlap = 0.0
  /// From there until the reduced sum was complete.
  public var reduce = 0.0
  /// The vote.
  public var vote = 0.0
  public var apply = 0.0

  public init() {}

  /// Until the lanes were done, without waiting for clips.
  public var compute: Double { forward + backward + quantise + idle }
  /// After the lanes were done.
  public var ring: Double { reduce + vote }
}

/// One rank's record of a step that it has applied. Everything but `share` is equal on all ranks.
public struct CommitRecord: Hashable, Sendable, Codable {
  public var generation: UInt32
  public var step: UInt64
  public var attempt: UInt8
  /// The digest of the reduced sum.
  public var digest: Digest128
  /// The digest of the state that the step started from.
  public var weights: Digest128
  /// The digest of the state that it led to.
  public var after: Digest128
  /// The mean loss over the step's clips.
  public var loss: Double
  public var top1: Int
  public var top5: Int
  public var clips: Int
  /// `ClipPairs` of the clips of all lanes, which the vote compared with what the ranks trained.
  public var clipPairs: Digest128
  public var learningRate: Double
  /// The step changed nothing, because its gradient was not finite and the recipe says to skip such steps.
  public var skipped: Bool
  public var share: Share

  /// One rank's share of the step.
  public struct Share: Hashable, Sendable, Codable {
    public var lanes: [Int]
    /// Bytes that its gradients would take uncompressed, and those that it sent.
    public var rawBytes: UInt64
    public var wireBytes: UInt64
    public var times: StepTimes

    public init(lanes: [Int], rawBytes: UInt64 = 0, wireBytes: UInt64 = 0, times: StepTimes = StepTimes()) {
      self.lanes = lanes
      self.rawBytes = rawBytes
      self.wireBytes = wireBytes
      self.times = times
    }
  }

  public init(
    generation: UInt32, step: UInt64, attempt: UInt8, digest: Digest128, weights: Digest128, after: Digest128,
    loss: Double, top1: Int, top5: Int, clips: Int, clipPairs: Digest128 = ClipPairs.none, learningRate: Double,
    skipped: Bool, share: Share
  ) {
    self.generation = generation
    self.step = step
    self.attempt = attempt
    self.digest = digest
    self.weights = weights
    self.after = after
    self.loss = loss
    self.top1 = top1
    self.top5 = top5
    self.clips = clips
    self.clipPairs = clipPairs
    self.learningRate = learningRate
    self.skipped = skipped
    self.share = share
  }
}

public struct EvaluationTask: Hashable, Sendable, Codable {
  public struct ID: Hashable, Sendable, Codable {
    /// The state before this step is evaluated.
    public var step: UInt64
    /// The digest of that state; nil where nobody knows it.
    public var state: Digest128?
    /// Counts up from 0 within an evaluation.
    public var number: Int

    public init(step: UInt64, state: Digest128?, number: Int) {
      self.step = step
      self.state = state
      self.number = number
    }
  }

  public var id: ID
  /// Positions in the validation index.
  public var clips: [Int]

  public init(_ id: ID, clips: [Int]) {
    self.id = id
    self.clips = clips
  }
}

/// Sums over the clips of a task.
public struct EvaluationResult: Hashable, Sendable, Codable {
  public var clips = 0
  public var top1 = 0
  public var top5 = 0
  /// Clips that could not be decoded, with the reason.
  public var failed: [String] = []

  public init() {}
}

/// A fault that a worker cannot recover from by itself.
public struct Fault: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable {
    /// This rank, the right neighbour, does not acknowledge frames.
    case silentPeer(rank: Int)
    /// The connection to this rank, the right neighbour, was closed by the other side.
    case closedLink(rank: Int)
    /// Digests differ: these ranks are the minority.
    case corruption(ranks: [Int])
    case nonFiniteGradient
    /// This clip of the training index, in this lane, cannot be decoded here, though others can.
    case clip(lane: Int, clip: Int)
    /// No clip at all can be read here.
    /// - Parameter report: as in `Progress`.
    case dataLost(report: Int)
    case other
  }

  public var kind: Kind
  public var generation: UInt32
  public var step: UInt64
  /// For people: what, where, what to do.
  public var text: String
  /// The run's `ExitStatus`, if the fault ends it.
  public var status: Int32

  public init(kind: Kind, generation: UInt32, step: UInt64, text: String, status: ExitStatus = .failed) {
    self.kind = kind
    self.generation = generation
    self.step = step
    self.text = text
    self.status = status.rawValue
  }
}

/// A named, immutable piece of data that one side can pull from the other.
public struct BlobDescription: Hashable, Sendable, Codable {
  public var name: String
  public var bytes: Int
  public var digest: Digest128

  public init(name: String, bytes: Int, digest: Digest128) {
    self.name = name
    self.bytes = bytes
    self.digest = digest
  }
}

/// Asks for the piece of a blob that begins at `offset`.
public struct BlobRequest: Hashable, Sendable, Codable {
  public var name: String
  public var offset: Int

  public init(name: String, offset: Int) {
    self.name = name
    self.offset = offset
  }
}

/// A piece of a blob; its bytes travel as the message's second part.
public struct BlobPiece: Hashable, Sendable, Codable {
  /// Bytes of every piece but a blob's last.
  public static let most = 1 << 20

  public var name: String
  public var offset: Int
  /// The whole blob. Nil where the sender does not have it (yet).
  public var description: BlobDescription?

  public init(name: String, offset: Int, description: BlobDescription?) {
    self.name = name
    self.offset = offset
    self.description = description
  }
}
