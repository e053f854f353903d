// What a worker says of itself while it trains.
import Shared

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
  public var ringBytes: UInt64 = 0
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
