// The rows of the journal's smaller tables.
import Foundation
import GRDB

/// What all row types share: columns are named like properties, in snake case.
public protocol JournalRecord: Codable, Hashable, Sendable, FetchableRecord, PersistableRecord {}

extension JournalRecord {
  public static var databaseColumnEncodingStrategy: DatabaseColumnEncodingStrategy { .convertToSnakeCase }
  public static var databaseColumnDecodingStrategy: DatabaseColumnDecodingStrategy { .convertFromSnakeCase }
}

/// The run itself: one row, written when the run begins and never changed.
public struct RunRecord: JournalRecord {
  public static let databaseTableName = "runs"
  private var id = 1
  /// Identifies the run. Workers report it to a coordinator that was restarted.
  public var identity: String
  public var name: String
  /// Decimal, since SQLite's integers are signed.
  public var seed: String
  public var recipeDigest: String
  public var indexDigest: String
  /// Library versions, kernel variant, and everything else that decides the bits.
  public var fingerprint: String
  /// The number of training clips in an epoch.
  public var clips: Int
  public var stepsPerEpoch: Int
  public var epochs: Int
  public var createdAt: Date

  public init(
    identity: String = "", name: String, seed: UInt64, recipeDigest: String, indexDigest: String, fingerprint: String,
    clips: Int,
    stepsPerEpoch: Int, epochs: Int, createdAt: Date
  ) {
    self.identity = identity
    self.name = name
    self.seed = String(seed)
    self.recipeDigest = recipeDigest
    self.indexDigest = indexDigest
    self.fingerprint = fingerprint
    self.clips = clips
    self.stepsPerEpoch = stepsPerEpoch
    self.epochs = epochs
    self.createdAt = createdAt
  }
}

/// A worker's stay in the run.
public struct MemberRecord: JournalRecord {
  public static let databaseTableName = "members"
  public var rank: Int
  /// Distinguishes a worker from its replacement with the same rank.
  public var incarnation: String
  public var host: String
  public var pid: Int
  public var threads: Int
  public var joinedAt: Date
  public var leftAt: Date?
  /// Why it left.
  public var reason: String?

  public init(rank: Int, incarnation: String, host: String, pid: Int, threads: Int, joinedAt: Date) {
    self.rank = rank
    self.incarnation = incarnation
    self.host = host
    self.pid = pid
    self.threads = threads
    self.joinedAt = joinedAt
  }
}

/// One membership with one lane plan and one ring order.
public struct GenerationRecord: JournalRecord {
  public static let databaseTableName = "generations"
  public var number: Int
  /// The first step that it computes.
  public var startStep: Int
  public var reason: String
  /// The lanes by rank: a JSON object in the table.
  public var lanes: [String: [Int]]
  /// The ranks in ring order: a JSON array in the table.
  public var ring: [Int]
  public var createdAt: Date
  /// The whole generation as it was announced, as JSON.
  public var plan: String

  public init(
    number: Int, startStep: Int, reason: String, lanes: [Int: [Int]], ring: [Int], createdAt: Date, plan: String = ""
  ) {
    self.plan = plan
    self.number = number
    self.startStep = startStep
    self.reason = reason
    self.lanes = Dictionary(lanes.map { (String($0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
    self.ring = ring
    self.createdAt = createdAt
  }
}

/// A training clip of the run's index.
public struct ClipRecord: JournalRecord {
  public static let databaseTableName = "clips"
  /// Its number in the index, which is sorted by id.
  public var clip: Int
  public var id: String
  public var path: String
  public var label: String
  /// Of the file.
  public var bytes: Int
  /// XXH3-128 of the file.
  public var hash: String

  public init(clip: Int, id: String, path: String, label: String, bytes: Int, hash: String) {
    self.clip = clip
    self.id = id
    self.path = path
    self.label = label
    self.bytes = bytes
    self.hash = hash
  }
}

/// The exclusion of a clip from a step, because no worker could decode it.
public struct VerdictRecord: JournalRecord {
  public static let databaseTableName = "verdicts"
  public var step: Int
  /// Its number in the index.
  public var clip: Int
  public var epoch: Int
  public var lane: Int
  public var reason: String
  public var decidedAt: Date

  public init(step: Int, clip: Int, epoch: Int, lane: Int, reason: String, decidedAt: Date) {
    self.step = step
    self.clip = clip
    self.epoch = epoch
    self.lane = lane
    self.reason = reason
    self.decidedAt = decidedAt
  }
}

/// A clip that the index leaves out, and why.
public struct RejectedRecord: JournalRecord {
  public static let databaseTableName = "rejected"
  /// "train" or "validation".
  public var list: String
  public var id: String
  public var path: String
  public var reason: String

  public init(list: String, id: String, path: String, reason: String) {
    self.list = list
    self.id = id
    self.path = path
    self.reason = reason
  }
}

/// A checkpoint that was written.
public struct CheckpointRecord: JournalRecord {
  public static let databaseTableName = "checkpoints"
  /// How many steps were applied before it was taken.
  public var step: Int
  public var path: String
  public var manifestSha256: String
  public var bytes: Int
  public var createdAt: Date
  /// Whether it was read back and verified.
  public var verified: Bool
  public var removedAt: Date?
  /// Why it was removed.
  public var reason: String?

  public init(step: Int, path: String, manifestSha256: String, bytes: Int, createdAt: Date, verified: Bool = true) {
    self.step = step
    self.path = path
    self.manifestSha256 = manifestSha256
    self.bytes = bytes
    self.createdAt = createdAt
    self.verified = verified
  }
}

/// A directive, which all ranks carry out at the same step boundary.
public struct DirectiveRecord: JournalRecord {
  public static let databaseTableName = "directives"
  public var seq: Int
  public var kind: String
  public var issuedAt: Date

  public init(seq: Int, kind: String, issuedAt: Date) {
    self.seq = seq
    self.kind = kind
    self.issuedAt = issuedAt
  }
}

/// One pass over the validation clips.
public struct EvaluationRecord: JournalRecord {
  public static let databaseTableName = "evaluations"
  /// How many steps were applied before it.
  public var step: Int
  public var clips: Int
  /// How many clips had a class of theirs ranked first, and among the first five.
  public var top1: Int
  public var top5: Int
  public var at: Date
  /// XXH3-128 of the state; empty in rows of older versions.
  public var stateDigest: String
  /// The clips' losses, in units of 2^-32; nil in rows of older versions.
  public var lossSum: Int?
  /// The mean average precision, in units of 2^-32; nil where it is not measured.
  public var meanPrecision: Int?

  public init(
    step: Int, clips: Int, top1: Int, top5: Int, at: Date, stateDigest: String = "", lossSum: Int? = nil,
    meanPrecision: Int? = nil
  ) {
    self.meanPrecision = meanPrecision
    self.lossSum = lossSum
    self.step = step
    self.clips = clips
    self.top1 = top1
    self.top5 = top5
    self.at = at
    self.stateDigest = stateDigest
  }
}

/// A fault or a decision, for people.
public struct EventRecord: JournalRecord {
  public enum Level: String, Codable, Sendable, DatabaseValueConvertible {
    case info, warning, error
  }

  public static let databaseTableName = "events"
  public var at: Date
  public var level: Level
  /// Who reports it: "coordinator", "rank 3"; or "hosts", for which hosts take part from now on.
  public var source: String
  public var text: String

  public init(at: Date, level: Level, source: String, text: String) {
    self.at = at
    self.level = level
    self.source = source
    self.text = text
  }
}
