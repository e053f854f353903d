// Audits a run's journal without the code that wrote it. This file opens the database and checks its form; the other
// checks are in `JournalAudit+….swift`. `cluster/audit.py` makes the same checks with the same messages in Python, and
// docs/journal.md lists them.
import Foundation
import GRDB
import Recipes
import Shared

/// The problems of a run's journal, and the facts with which its checkpoints and index must agree.
public struct JournalAudit: Sendable {
  /// A checkpoint in the journal: the newest row of its step.
  public struct Checkpoint: Sendable {
    public var step: Int
    public var manifestSha256: String
    public var bytes: Int
    /// Whether it should be on disk.
    public var isLive: Bool
    /// Whether it may be on disk although it is not live, since a rollback leaves damaged checkpoints in place.
    public var wasRolledBack: Bool
  }

  /// A training clip. The index must agree with it.
  public struct Clip: Hashable, Sendable {
    public var id: String
    public var path: String
    public var bytes: Int
    public var hash: String
  }

  /// A row of `steps`.
  struct Step {
    var step: Int
    var epoch: Int
    var generation: Int
    var weights: String
    var state: String
    var clips: Int
    var clipsDigest: String
    var pairs: String?
    var loss: Double
    var learningRate: Double
    var rolledBack: Bool
  }

  public let directory: String
  /// Each problem in one line: what, where, what to do.
  public var problems: [String] = []
  public var steps: Int { live.count }
  /// The digests of the states before steps, if a live step led there and the journal has the digest.
  public var stateDigests: [Int: String] {
    Dictionary(
      live.filter { !$0.state.isEmpty }.map { ($0.step &+ 1, $0.state) }, uniquingKeysWith: { first, _ in first })
  }
  public internal(set) var wholeEpochs = 0
  public internal(set) var generations = 0
  /// By step.
  public internal(set) var checkpoints: [Int: Checkpoint] = [:]
  /// Of the training index.
  public internal(set) var indexDigest = ""
  /// Whether the tables can be read at all.
  public internal(set) var isReadable = false
  var live: [Step] = []
  var clipCount = 0
  /// What the run was made with; nil if it cannot be read.
  private let recipe: Recipe?
  /// Whether the run draws clips by class: then a ledger's number is `occurrence · clipCount + clip`.
  var isBalanced: Bool { recipe?.data.balanced ?? false }
  /// How steps are cut into epochs; and which clips they take, unless all are alike, for which no recipe is needed.
  var plan = StepPlan(stepsPerEpoch: 1)
  var lastStep = 0
  /// As the run began.
  var epochs = 1
  /// Those that make sense.
  var epochRevisions: [EpochRevision] = []

  /// The results of the validations: of live states, in the order of the steps.
  var validations: [Validation] = []

  /// A row of `evaluations`.
  struct Validation {
    var step: Int
    var clips: Int
    var top1: Int
    var loss: Int?
  }

  static let restore = "restore run.db from a copy, or start a new run directory"

  /// - Parameters:
  ///   - directory: the run directory.
  ///   - recipe: the run's.
  ///   - atSnapshot: called when the snapshot of the journal is taken. Others may write to the journal meanwhile.
  ///   - eachClip: gets the training clips, by number, one by one: there may be more than fit into memory.
  /// - Throws: `JournalError`, bad data if there is no run or one of another layout.
  public init(
    _ directory: String, recipe: Recipe? = nil, atSnapshot: () throws -> Void = {},
    eachClip: (Clip) throws -> Void = { _ in }
  ) throws {
    self.directory = directory
    self.recipe = recipe
    let path = "\(directory)/run.db"
    guard FileManager.default.fileExists(atPath: path) else {
      throw JournalError(.badData, directory, "holds no run: there is no run.db; give a run directory")
    }
    do {
      let queue = try Self.open(path)
      try queue.read { database in
        guard try begins(path, database, atSnapshot) else { return }
        isReadable = true
        try auditRevisions(database)
        try auditSteps(database)
        validations = try Self.validations(database)
        try auditGenerations(database)
        try auditMembers(database)
        try auditClips(database, eachClip)
        try auditLedger(database)
        try auditCheckpoints(database)
      }
    } catch let error as DatabaseError where [.SQLITE_BUSY, .SQLITE_LOCKED].contains(error.resultCode) {
      throw JournalError.database(error, "auditing the journal", path)
    } catch let error as DatabaseError {
      isReadable = false
      report("is damaged: \(error.message ?? "SQLite error \(error.resultCode.rawValue)")")
    }
  }

  /// Opens the database read-only. On a disk that cannot be written, nobody may be writing to the journal.
  private static func open(_ path: String) throws -> DatabaseQueue {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(5)
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      _ = try queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_master") }
      return queue
    } catch let error as DatabaseError where error.resultCode == .SQLITE_CANTOPEN {
      let log = try? FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int
      guard log ?? 0 == 0 else { throw error }
      let name = URL(fileURLWithPath: path).absoluteString
      return try DatabaseQueue(path: "\(name)?immutable=1", configuration: configuration)
    }
  }

  mutating func report(_ text: String, _ remedy: String = JournalAudit.restore) {
    // SQLite's findings may have several lines.
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    problems.append("\(directory)/run.db: \(line); \(remedy)")
  }

  // MARK: - Form

  /// Checks layout, integrity and the run's row.
  /// - Returns: whether the rest can be checked.
  private mutating func begins(_ path: String, _ database: Database, _ atSnapshot: () throws -> Void) throws -> Bool {
    let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    guard version == 0 || version == Schema.version else {
      let remedy = version > Schema.version ? "use a newer Tamring" : "resume the run once to update it"
      throw JournalError(
        .badData, path, "has layout \(version), and this program knows \(Schema.version); \(remedy)")
    }
    let damage = try String.fetchAll(database, sql: "PRAGMA integrity_check(10)")
    try atSnapshot()
    guard damage == ["ok"] else {
      for line in damage { report("is damaged: \(line)") }
      return false
    }
    let tables = try String.fetchSet(database, sql: "SELECT name FROM sqlite_master WHERE type = 'table'")
    let isEmpty = try tables.contains("runs") && Int.fetchOne(database, sql: "SELECT 1 FROM runs") == nil
    guard !tables.isEmpty, !isEmpty else {
      throw JournalError(.badData, directory, "holds no run: its journal is empty; give a run directory")
    }
    guard try isSound(tables, database), let run = try Row.fetchOne(database, sql: "SELECT * FROM runs") else {
      return false
    }
    indexDigest = run["index_digest"]
    clipCount = run["clips"]
    let stepsPerEpoch: Int = run["steps_per_epoch"]
    epochs = run["epochs"]
    guard [clipCount, stepsPerEpoch, epochs].allSatisfy({ (1...Int(Int32.max)).contains($0) }) else {
      report("a run of \(clipCount) clips, \(stepsPerEpoch) steps an epoch and \(epochs) epochs cannot be")
      return false
    }
    plan = StepPlan(stepsPerEpoch: stepsPerEpoch)
    if let own = recipe?.steps(clips: clipCount), !own.isUniform {
      plan = own
      if own.lastStepsPerEpoch != stepsPerEpoch {
        report("has \(stepsPerEpoch) steps for an epoch of full clips, but recipe.yaml gives \(own.lastStepsPerEpoch)")
      }
    }
    return true
  }

  /// The tables and columns that the audit reads.
  private static let columns = [
    "runs": "index_digest clips steps_per_epoch epochs", "members": "rank incarnation joined_at left_at",
    "generations": "number start_step",
    "steps": "id step epoch generation attempt digest weights_digest loss top1 top5 clips learning_rate gradient_bits "
      + "clips_digest state_digest pairs_digest chain rolled_back",
    "verdicts": "step clip epoch", "consumed": "epoch clip step lane", "clips": "clip id path bytes hash",
    "checkpoints": "id step manifest_sha256 bytes removed_at reason", "events": "text",
    "revisions": "seq step key old new",
  ]

  /// Checks the columns' values, since SQLite stores any value in any column. All later checks rely on the bounds.
  private mutating func isSound(_ tables: Set<String>, _ database: Database) throws -> Bool {
    let before = problems.count
    for table in [
      "runs", "revisions", "members", "generations", "steps", "verdicts", "consumed", "clips", "checkpoints", "events",
    ] {
      guard tables.contains(table) else {
        report("the table \(table) is missing")
        continue
      }
      let present = try String.fetchSet(database, sql: "SELECT name FROM pragma_table_info('\(table)')")
      for column in Self.columns[table, default: ""].split(separator: " ") where !present.contains(String(column)) {
        report("the column \(table).\(column) is missing")
      }
      for problem in try ColumnBounds.problems(table, database) { report(problem) }
    }
    return problems.count == before
  }
}

/// "clip 3" or "clips 3, 5, 8", ten at most.
func named(_ numbers: some Sequence<Int>, _ noun: String) -> String {
  let sorted = numbers.sorted()
  let text = sorted.prefix(10).map(String.init).joined(separator: ", ")
  return "\(noun)\(sorted.count == 1 ? "" : "s") \(text)\(sorted.count > 10 ? ", …" : "")"
}

/// "step 3" or "steps 3 to 8".
func span(_ first: Int, _ last: Int) -> String { first == last ? "step \(first)" : "steps \(first) to \(last)" }
