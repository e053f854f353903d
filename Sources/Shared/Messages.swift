// What coordinator and workers say to one another. `ControlCodec` says how it looks on the wire.

/// From a worker to the coordinator.
public enum WorkerMessage: Hashable, Sendable, Codable {
  /// Wants to take part. Repeated until answered.
  case hello(Hello)
  /// Alive; sent from a thread of its own.
  case heartbeat(Progress)
  /// Where this rank stands: after `halt`, at the boundary at which a directive took effect or training ended, and,
  /// in generation 0, when it is ready to be given the state for the first time.
  case standing(Standing)
  /// Holds the state before `step`, ready for generation `generation`.
  case prepared(generation: UInt32, step: UInt64, weights: Digest128)
  /// Applied a step. Repeated until acknowledged.
  case committed(CommitRecord)
  /// A copy of the state before `step` waits to be fetched for a checkpoint.
  case checkpointReady(step: UInt64, blobs: [BlobDescription])
  case evaluated(task: Int, EvaluationResult)
  case fault(Fault)
  /// Was asked to end, and wants to be let go at the next boundary.
  case leaving
  /// Blobs are fetched in both directions, and between workers.
  case blobRequest(BlobRequest)
  case blobPiece(BlobPiece)
}

/// From the coordinator to a worker.
public enum CoordinatorMessage: Hashable, Sendable, Codable {
  /// Taken in. The worker fetches the indexes and waits.
  case welcome(Welcome)
  /// Not taken in, or no longer wanted: the worker ends. `clean` where nothing is wrong.
  case dismiss(reason: String, clean: Bool)
  /// A member died or a new one waits: stop before anything else is applied, and say where you stand.
  case halt(generation: UInt32)
  /// Get the state before `step` from `source`.
  case prepare(generation: UInt32, step: UInt64, source: StateSource)
  case begin(Generation)
  /// All steps below `step` are in the journal for good.
  case acknowledged(step: UInt64)
  /// Answers a heartbeat, with the directives that are not carried out yet.
  case pulse([Directive])
  /// The copy for the checkpoint of `step` is no longer needed.
  case checkpointTaken(step: UInt64)
  case evaluate(EvaluationTask)
  /// A coordinator of this run does not know the sender: if it is a worker of this run, it says hello again.
  case identify(run: String)
  case blobRequest(BlobRequest)
  case blobPiece(BlobPiece)
}

/// Where a worker takes the state from.
public enum StateSource: Hashable, Sendable, Codable {
  /// Its own memory: a step that it froze is applied if it lies below the wanted one, else forgotten. `skipping` where
  /// the others applied that step as one that changes nothing.
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
  /// Lanes that it computes at once.
  public var threads: Int
  /// Where its peers reach it.
  public var endpoint: String
  /// What decides its bits: libraries, kernels, engine. All members of a run must be equal in it.
  public var fingerprint: [String: String]
  /// What it did before, if it is in a run already.
  public var past: Past?

  /// What a worker brings along for a coordinator that was started again.
  public struct Past: Hashable, Sendable, Codable {
    /// The identity of the run that it belongs to.
    public var run: String
    /// The generation that it runs, or the one that is being made, as it knows it.
    public var number: UInt32
    /// Every step below is applied; nil without a state.
    public var next: UInt64?
    /// It was told that every step below is in the journal.
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

/// Digests of what a worker computed of fixed numbers, and decoded of the first clip, in the shapes of the run.
public struct SelfTest: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Of the gradients of a fixed lane.
  public var lane: Digest128
  /// Of the first clip of the index; nil where it cannot be decoded.
  public var clip: Digest128?

  public init(lane: Digest128, clip: Digest128?) {
    self.lane = lane
    self.clip = clip
  }

  /// Whether two machines get the same bits, as far as this shows.
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
  /// The step after which training ends by itself.
  public var lastStep: UInt64

  public init(run: String = "", recipe: String, blobs: [BlobDescription], lastStep: UInt64) {
    self.run = run
    self.recipe = recipe
    self.blobs = blobs
    self.lastStep = lastStep
  }
}

/// What a worker is at: enough to tell a hang from slowness.
public struct Progress: Hashable, Sendable, Codable {
  public enum Phase: String, Hashable, Sendable, Codable {
    case idle, preparing, computing, reducing, voting
  }

  public var phase = Phase.idle
  public var generation: UInt32 = 0
  public var step: UInt64 = 0
  public var attempt: UInt8 = 0
  /// Lanes that are finished.
  public var lanesDone = 0
  /// Changes whenever a lane has moved on by a tensor, or a clip was decoded.
  public var work: UInt64 = 0
  /// Changes whenever the ring moves.
  public var ringFrames: UInt64 = 0
  /// The rank whose frames it waits for.
  public var waitingFor: Int?
  /// Why it can read none of its data, while that is so.
  public var dataLost: String?

  public init() {}
}

/// Where a rank stands: it has applied every step below `next`.
public struct Standing: Hashable, Sendable, Codable {
  public var generation: UInt32
  /// Nil where it holds no state at all.
  public var next: UInt64?
  /// It trains no further: the last step, or a stop that took effect at this boundary.
  public var stopped: Bool
  /// Lanes of step `next` whose sums it holds or is computing: they need not be computed again.
  public var held: [Int]
  /// In generation 0.
  public var selfTest: SelfTest?
  /// Where it has voted for step `next`: which reduction's sum it keeps.
  public var vote: Vote?
  /// How step `next` − 1 was applied here; nil where it was not.
  public var last: Last?
  /// Why it can read none of its data, while that is so.
  public var dataLost: String?

  /// A reduction: all who voted in it and committed have the same sum.
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
/// The first five are means over its lane threads, and add up to the time until its lanes were done; with the last three
/// they add up to the step. What the ring did meanwhile cost nothing.
public struct StepTimes: Hashable, Sendable, Codable {
  /// Waiting for clips to be decoded.
  public var decodeWait = 0.0
  public var forward = 0.0
  public var backward = 0.0
  /// Turning gradients to integers and adding them up.
  public var quantise = 0.0
  /// Without a lane to compute.
  public var idle = 0.0
  /// From the first bucket's start in the ring until the lanes were done.
  public var overlap = 0.0
  /// From there until the sum was complete.
  public var reduce = 0.0
  /// The second lap.
  public var vote = 0.0
  public var apply = 0.0

  public init() {}

  /// Until the lanes were done, without waiting for clips.
  public var compute: Double { forward + backward + quantise + idle }
  /// After the lanes were done.
  public var ring: Double { reduce + vote }
}

/// What one rank knows of a step that it has applied. Everything but `share` is equal on all ranks.
public struct CommitRecord: Hashable, Sendable, Codable {
  public var generation: UInt32
  public var step: UInt64
  public var attempt: UInt8
  /// Of the reduced sum.
  public var digest: Digest128
  /// Of the state that the step started from.
  public var weights: Digest128
  /// Of the state that it led to.
  public var after: Digest128
  /// Mean over the step's clips.
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

  /// One rank's part in it.
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
  public var task: Int
  /// Positions in the validation index.
  public var clips: [Int]

  public init(task: Int, clips: [Int]) {
    self.task = task
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

  public static func += (sum: inout EvaluationResult, other: EvaluationResult) {
    func add(_ a: Int, _ b: Int) -> Int {
      let (total, overflow) = a.addingReportingOverflow(b)
      return overflow ? .max : total
    }
    sum.clips = add(sum.clips, other.clips)
    sum.top1 = add(sum.top1, other.top1)
    sum.top5 = add(sum.top5, other.top5)
    sum.failed += other.failed
  }
}

/// Something that a worker cannot mend by itself.
public struct Fault: Hashable, Sendable, Codable {
  public enum Kind: Hashable, Sendable, Codable {
    /// What is sent to this rank, the right neighbour, is not acknowledged.
    case silentPeer(rank: Int)
    /// The connection to this rank, the right neighbour, was closed by the other side.
    case closedLink(rank: Int)
    /// Digests differ: these ranks are the odd ones.
    case corruption(ranks: [Int])
    case nonFiniteGradient
    /// This clip of the training index, in this lane, cannot be decoded here, though others can.
    case clip(lane: Int, clip: Int)
    /// No clip at all can be read here.
    case dataLost
    case other
  }

  public var kind: Kind
  public var generation: UInt32
  public var step: UInt64
  /// For people: what, where, what to do.
  public var text: String
  /// An `ExitStatus` for the run, if the fault ends it.
  public var status: Int32

  public init(kind: Kind, generation: UInt32, step: UInt64, text: String, status: ExitStatus = .failed) {
    self.kind = kind
    self.generation = generation
    self.step = step
    self.text = text
    self.status = status.rawValue
  }
}

/// A named, immutable piece of data that one side can fetch from the other.
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
