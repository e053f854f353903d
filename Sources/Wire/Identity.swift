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
  /// The key by which its peers know it; nil in a run without keys.
  public var key: PublicKey?

  public init(identity: WorkerIdentity, endpoint: String, lanes: [Int], key: PublicKey? = nil) {
    self.identity = identity
    self.endpoint = endpoint
    self.lanes = lanes
    self.key = key
  }

  /// Nil in a run without keys.
  public var peer: Peer? { key.map { Peer(identity: identity, endpoint: endpoint, key: $0) } }
}

/// One membership with one lane plan and one ring order. Only the coordinator makes one.
public struct Generation: Hashable, Sendable, Codable {
  public var number: UInt32
  /// The first step that this generation computes.
  public var startStep: UInt64
  /// The first step that it does not compute: its members report before it, and wait for the next generation. Nil if
  /// they may train to the end.
  public var endStep: UInt64?
  /// Whether its members wait before `endStep` in any case. If not, they train on where one of them hears no
  /// coordinator.
  public var endBinds: Bool
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
  public var exclusions: [ClipExclusion]
  /// Frozen sums of step `startStep` must not be trusted: all of its lanes are recomputed.
  public var computesAnew: Bool
  /// Workers of this and older generations may hold states that were rolled back before this one began.
  public var rolledBack: UInt32
  /// How often validations have reduced the learning rate; nil where it does not follow them.
  public var reductions: Int?

  public init(
    number: UInt32, startStep: UInt64, endStep: UInt64? = nil, endBinds: Bool = true, members: [Member],
    directivesDone: UInt64 = 0,
    stops: Bool = false, pauses: Bool = false, exclusions: [ClipExclusion] = [], computesAnew: Bool = false,
    rolledBack: UInt32 = 0, reductions: Int? = nil
  ) {
    self.reductions = reductions
    self.endBinds = endBinds
    self.exclusions = exclusions
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

  private enum CodingKeys: String, CodingKey {
    case number, startStep, endStep, endBinds, members, directivesDone, stops, pauses
    case exclusions = "verdicts"
    case computesAnew, rolledBack, reductions
  }

  /// Journals hold generations of older versions, which had neither pauses nor ends.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    number = try values.decode(UInt32.self, forKey: .number)
    startStep = try values.decode(UInt64.self, forKey: .startStep)
    endStep = try values.decodeIfPresent(UInt64.self, forKey: .endStep)
    endBinds = try values.decodeIfPresent(Bool.self, forKey: .endBinds) ?? true
    members = try values.decode([Member].self, forKey: .members)
    directivesDone = try values.decode(UInt64.self, forKey: .directivesDone)
    stops = try values.decode(Bool.self, forKey: .stops)
    pauses = try values.decodeIfPresent(Bool.self, forKey: .pauses) ?? false
    exclusions = try values.decode([ClipExclusion].self, forKey: .exclusions)
    computesAnew = try values.decode(Bool.self, forKey: .computesAnew)
    rolledBack = try values.decode(UInt32.self, forKey: .rolledBack)
    reductions = try values.decodeIfPresent(Int.self, forKey: .reductions)
  }
}

/// The exclusion from a step of a clip that no worker could decode. Its lane is shorter by that clip, on all ranks.
public struct ClipExclusion: Hashable, Sendable, Codable {
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
    case reconfigure = "reform"
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
