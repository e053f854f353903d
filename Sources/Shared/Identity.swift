// Identities of workers and generations: plain values that travel in messages.

/// A worker process: the rank names its slot, the incarnation one life of the process.
public struct WorkerIdentity: Hashable, Sendable, Codable, CustomStringConvertible {
  public var rank: Int
  /// Drawn at random when the process starts.
  public var incarnation: UInt64

  public init(rank: Int, incarnation: UInt64) {
    self.rank = rank
    self.incarnation = incarnation
  }

  public var description: String { "worker \(rank)" }
}

/// A member of a generation, in ring order.
public struct Member: Hashable, Sendable, Codable {
  public var identity: WorkerIdentity
  /// The endpoint at which its peers reach it.
  public var endpoint: String
  /// The lanes that it computes.
  public var lanes: [Int]

  public init(identity: WorkerIdentity, endpoint: String, lanes: [Int]) {
    self.identity = identity
    self.endpoint = endpoint
    self.lanes = lanes
  }
}

/// One membership with one lane plan and one ring order. Only the coordinator makes one.
public struct Generation: Hashable, Sendable, Codable {
  public var number: UInt32
  /// The first step that this generation computes.
  public var startStep: UInt64
  /// The first step that it does not compute: its members report before it, and wait for the next generation. Nil if
  /// they may train to the end.
  public var endStep: UInt64?
  /// In ring order.
  public var members: [Member]
  /// Directives up to this sequence number were carried out before the generation began.
  public var directivesDone: UInt64
  /// Its members train no step. They wait at `startStep` and hand over a checkpoint.
  public var stops: Bool
  /// Its members train no step: none of them can read its data, or the state before `startStep` is evaluated first.
  /// They hand over a checkpoint and wait.
  public var pauses: Bool
  /// The journaled exclusions of clips from steps from `startStep` on.
  public var verdicts: [ClipVerdict]
  /// Frozen sums of step `startStep` must not be trusted: all of its lanes are recomputed.
  public var computesAnew: Bool
  /// Workers of this and older generations may hold states that were rolled back before this one began.
  public var rolledBack: UInt32

  public init(
    number: UInt32, startStep: UInt64, endStep: UInt64? = nil, members: [Member], directivesDone: UInt64 = 0,
    stops: Bool = false, pauses: Bool = false,
    verdicts: [ClipVerdict] = [], computesAnew: Bool = false, rolledBack: UInt32 = 0
  ) {
    self.verdicts = verdicts
    self.computesAnew = computesAnew
    self.rolledBack = rolledBack
    self.number = number
    self.startStep = startStep
    self.endStep = endStep
    self.members = members
    self.directivesDone = directivesDone
    self.stops = stops
    self.pauses = pauses
  }

  /// Journals hold generations of older versions, which had neither pauses nor ends.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    number = try values.decode(UInt32.self, forKey: .number)
    startStep = try values.decode(UInt64.self, forKey: .startStep)
    endStep = try values.decodeIfPresent(UInt64.self, forKey: .endStep)
    members = try values.decode([Member].self, forKey: .members)
    directivesDone = try values.decode(UInt64.self, forKey: .directivesDone)
    stops = try values.decode(Bool.self, forKey: .stops)
    pauses = try values.decodeIfPresent(Bool.self, forKey: .pauses) ?? false
    verdicts = try values.decode([ClipVerdict].self, forKey: .verdicts)
    computesAnew = try values.decode(Bool.self, forKey: .computesAnew)
    rolledBack = try values.decode(UInt32.self, forKey: .rolledBack)
  }
}

/// The exclusion of a clip that no worker could decode from a step. Its lane is shorter by that clip, on all ranks.
public struct ClipVerdict: Hashable, Sendable, Codable {
  public var step: UInt64
  public var lane: Int
  /// Position in the training index.
  public var clip: Int

  public init(step: UInt64, lane: Int, clip: Int) {
    self.step = step
    self.lane = lane
    self.clip = clip
  }
}

/// An order that all ranks carry out at the same step boundary: the first at which every rank holds it.
public struct Directive: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable {
    /// Finish the step and wait for a new generation.
    case reform
    /// Finish the step, hand over a checkpoint and train no further.
    case stop
  }

  /// Counts up from 1 over the whole run.
  public var sequence: UInt64
  public var kind: Kind

  public init(sequence: UInt64, kind: Kind) {
    self.sequence = sequence
    self.kind = kind
  }
}

/// Divides `lanes` lanes among ranks in proportion to their weights (threads, or measured speed): contiguous, each lane
/// once, by largest remainders. A pure function, so that a plan can be checked.
public func laneShares(lanes: Int, weights: [Int]) -> [[Int]] {
  precondition(weights.allSatisfy { $0 >= 0 } && weights.contains { $0 > 0 }, "some weight must be positive")
  let total = weights.reduce(0, +)
  var counts = weights.map { lanes * $0 / total }
  let remainders = weights.indices.sorted { a, b in
    let (ra, rb) = (lanes * weights[a] % total, lanes * weights[b] % total)
    return ra != rb ? ra > rb : a < b
  }
  for rank in remainders.prefix(lanes - counts.reduce(0, +)) { counts[rank] += 1 }
  var next = 0
  return counts.map { count in
    defer { next += count }
    return Array(next..<next + count)
  }
}

/// The positions outside the strict majority, or all positions if there is none; nil if all values are equal.
public func dissenters<Value: Hashable>(_ values: [Value]) -> [Int]? {
  let counts = Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
  guard counts.count > 1 else { return nil }
  guard let majority = values.first(where: { 2 * (counts[$0] ?? 0) > values.count }) else {
    return Array(values.indices)
  }
  return values.indices.filter { values[$0] != majority }
}
