// Opens a run's journal, and adds simple records. Commits are in `Journal+Commits.swift`.
import Foundation
import GRDB
import Shared

/// The run's durable memory: `run.db`, an SQLite database that people may also query by hand.
///
/// Each call is one transaction, which is durable when the call returns (write-ahead log, `synchronous=FULL`). Calls
/// wait for the disk, so they belong on a thread, not on the cooperative pool. One process writes (`RunLock`); others
/// may read.
public final class Journal: Sendable {
  public enum Access: Sendable {
    /// A new journal; the file must not exist.
    case create
    /// An existing journal. Integrity and chain are checked, and an older layout is migrated.
    case resume
    /// Read-only, with the checks of `resume`.
    case reading
  }

  public let path: String
  private let queue: DatabaseQueue

  /// - Throws: `JournalError`: bad data if the journal is damaged, missing, or exists already; otherwise I/O.
  public init(_ path: String, _ access: Access) throws {
    self.path = path
    let exists = FileManager.default.fileExists(atPath: path)
    guard exists == (access != .create) else {
      throw JournalError(
        .badData, path,
        exists ? "a journal is there already; resume it or choose another run directory" : "there is no journal here")
    }
    var configuration = Configuration()
    configuration.readonly = access == .reading
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { database in
      if access != .reading { try database.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL") }
    }
    queue = try Self.reporting("opening the journal", path) {
      try DatabaseQueue(path: path, configuration: configuration)
    }
    if access == .create { try syncParent() }
    try check(access)
  }

  /// Closes the database. It must be the last call.
  /// - Throws: `JournalError` if it cannot be closed.
  public func close() throws { try Self.reporting("closing the journal", path) { try queue.close() } }

  // MARK: - The run

  /// Writes the run's row, its clips and the rejected clips, all or none. They are passed on one by one: there may be
  /// more than fit into memory.
  /// - Parameters:
  ///   - anew: whether a run that the journal holds, and of which no step was ever committed, is forgotten but for its
  ///     events.
  ///   - clips: passes each clip to its argument.
  ///   - rejected: passes each rejected clip to its argument. One that comes again is the same.
  /// - Throws: `JournalError` if the run has begun already, and for `anew` if it has steps; what the parameters throw.
  public func beginRun(
    _ run: RunRecord, anew: Bool = false, clips: ((ClipRecord) throws -> Void) throws -> Void,
    rejected: ((RejectedRecord) throws -> Void) throws -> Void
  ) throws {
    try write("beginning the run") { database in
      if anew { try forgetRun(database) }
      try run.insert(database)
      let clip = try database.makeStatement(
        sql: "INSERT INTO clips (clip, id, path, label, bytes, hash) VALUES (?, ?, ?, ?, ?, ?)")
      try clips { try clip.execute(arguments: [$0.clip, $0.id, $0.path, $0.label, $0.bytes, $0.hash]) }
      let refused = try database.makeStatement(
        sql: "INSERT OR IGNORE INTO rejected (list, id, path, reason) VALUES (?, ?, ?, ?)")
      try rejected { try refused.execute(arguments: [$0.list, $0.id, $0.path, $0.reason]) }
    }
  }

  /// The same, of clips that are in memory.
  public func beginRun(_ run: RunRecord, anew: Bool = false, clips: [ClipRecord], rejected: [RejectedRecord]) throws {
    try beginRun(run, anew: anew, clips: { try clips.forEach($0) }, rejected: { try rejected.forEach($0) })
  }

  private func forgetRun(_ database: Database) throws {
    guard try Int.fetchOne(database, sql: "SELECT count(*) FROM steps") == 0 else {
      throw JournalError(.badData, path, "the run has steps already, and cannot begin anew")
    }
    for table in [
      "runs", "revisions", "members", "generations", "verdicts", "pauses", "directives", "checkpoints", "evaluations",
      "clips", "rejected",
    ] { try database.execute(sql: "DELETE FROM \(table)") }
  }

  /// The run; nil if it has not begun.
  /// - Throws: `JournalError` if the database fails, like all readers here.
  public func run() throws -> RunRecord? { try read("reading the run") { try RunRecord.fetchOne($0) } }

  /// The run's identity. A run of an older version gets the one that is offered.
  public func identity(orElse offered: String) throws -> String {
    try write("reading the run's identity") { database in
      try database.execute(sql: "UPDATE runs SET identity = ? WHERE identity = ''", arguments: [offered])
      return try String.fetchOne(database, sql: "SELECT identity FROM runs") ?? offered
    }
  }

  /// Records the fingerprint of what decides the run's bits, once it is known.
  /// - Returns: the earlier fingerprint, if it differs.
  public func recordFingerprint(_ text: String) throws -> String? {
    try write("recording the fingerprint") { database in
      let known = try String.fetchOne(database, sql: "SELECT fingerprint FROM runs") ?? ""
      if known.isEmpty { try database.execute(sql: "UPDATE runs SET fingerprint = ?", arguments: [text]) }
      return known.isEmpty || known == text ? nil : known
    }
  }

  public func rejectedClips() throws -> [RejectedRecord] {
    try read("reading the rejected clips") { try RejectedRecord.order(sql: "list, id, path").fetchAll($0) }
  }

  // MARK: - Members and generations

  /// A worker that left and comes back is present again; the events tell of its absence.
  public func memberJoined(_ member: MemberRecord) throws {
    try write("recording a member") { database in
      try database.execute(
        sql: "UPDATE members SET left_at = NULL, reason = NULL WHERE rank = ? AND incarnation = ?",
        arguments: [member.rank, member.incarnation])
      if database.changesCount == 0 { try member.insert(database) }
    }
  }

  /// - Parameter reason: why the worker left.
  public func memberLeft(rank: Int, incarnation: String, reason: String, at time: Date) throws {
    try write("recording a member's leaving") { database in
      try database.execute(
        sql: "UPDATE members SET left_at = ?, reason = ? WHERE rank = ? AND incarnation = ? AND left_at IS NULL",
        arguments: [time, reason, rank, incarnation])
    }
  }

  /// The members that have not left, by rank.
  public func presentMembers() throws -> [MemberRecord] {
    try read("reading the members") { try MemberRecord.filter(sql: "left_at IS NULL").order(sql: "rank").fetchAll($0) }
  }

  /// Call it before announcing the generation.
  public func record(_ generation: GenerationRecord) throws {
    try write("recording a generation") { try generation.insert($0) }
  }

  public func lastGeneration() throws -> GenerationRecord? {
    try read("reading the generations") { try GenerationRecord.order(sql: "number DESC").fetchOne($0) }
  }

  // MARK: - Excluded clips

  /// Call it before announcing the exclusion. Recording the same one again does nothing.
  public func record(_ verdict: VerdictRecord) throws {
    try write("recording a verdict") { try verdict.insert($0, onConflict: .ignore) }
  }

  /// The exclusions from step `step` and later ones.
  public func verdicts(from step: Int) throws -> [VerdictRecord] {
    try read("reading the verdicts") { database in
      try VerdictRecord.filter(sql: "step >= ?", arguments: [step]).order(sql: "step, clip").fetchAll(database)
    }
  }

  // MARK: - Checkpoints

  /// Call it when the checkpoint is in place and verified. Recording the same one again does nothing.
  /// - Throws: `JournalError` if it holds more steps than the journal, or the step has another checkpoint.
  public func record(_ checkpoint: CheckpointRecord) throws {
    try write("recording a checkpoint") { database in
      let steps = try Self.liveSteps(database)
      guard checkpoint.step <= steps else {
        throw JournalError.damaged(path, "it holds \(steps) steps, but a checkpoint has \(checkpoint.step)")
      }
      let known = try CheckpointRecord.filter(sql: "step = ? AND removed_at IS NULL", arguments: [checkpoint.step])
        .fetchOne(database)
      if let known, known.manifestSha256 == checkpoint.manifestSha256 { return }
      try checkpoint.insert(database)
    }
  }

  /// - Parameter reason: "pruned", or what is wrong with the checkpoint.
  public func checkpointRemoved(step: Int, reason: String, at time: Date) throws {
    try write("recording a checkpoint's removal") { database in
      try database.execute(
        sql: "UPDATE checkpoints SET removed_at = ?, reason = ? WHERE step = ? AND removed_at IS NULL",
        arguments: [time, reason, step])
    }
  }

  /// The checkpoints that have not been removed, in ascending order.
  public func checkpoints() throws -> [CheckpointRecord] {
    try read("reading the checkpoints") {
      try CheckpointRecord.filter(sql: "removed_at IS NULL").order(sql: "step").fetchAll($0)
    }
  }

  // MARK: - Evaluations, directives, events

  public func record(_ evaluation: EvaluationRecord) throws {
    try write("recording an evaluation") { try evaluation.insert($0) }
  }

  public func evaluations() throws -> [EvaluationRecord] {
    try read("reading the evaluations") { try EvaluationRecord.order(sql: "id").fetchAll($0) }
  }

  /// The evaluations of states that the live steps lead to, in the order of their steps; of each step the first.
  public func liveEvaluations() throws -> [EvaluationRecord] {
    try read("reading the evaluations") { try Self.liveEvaluations($0) }
  }

  static func liveEvaluations(_ database: Database) throws -> [EvaluationRecord] {
    try EvaluationRecord.fetchAll(
      database,
      sql: """
        SELECT * FROM evaluations WHERE id IN (
          SELECT min(evaluations.id) FROM evaluations JOIN steps
            ON steps.step = evaluations.step - 1 AND steps.rolled_back = 0
            AND steps.state_digest = evaluations.state_digest AND steps.state_digest <> ''
          GROUP BY evaluations.step)
        ORDER BY step
        """)
  }

  public func record(_ directive: DirectiveRecord) throws {
    try write("recording a directive") { try directive.insert($0) }
  }

  /// The directives numbered above `sequence`, in order.
  public func directives(after sequence: Int) throws -> [DirectiveRecord] {
    try read("reading the directives") { database in
      try DirectiveRecord.filter(sql: "seq > ?", arguments: [sequence]).order(sql: "seq").fetchAll(database)
    }
  }

  public func record(_ event: EventRecord) throws {
    try write("recording an event") { try event.insert($0) }
  }

  /// The newest event that `source` reported.
  public func lastEvent(from source: String) throws -> EventRecord? {
    try read("reading the events") {
      try EventRecord.filter(sql: "source = ?", arguments: [source]).order(sql: "id DESC").fetchOne($0)
    }
  }

  /// The newest events, oldest first.
  public func events(last count: Int) throws -> [EventRecord] {
    try read("reading the events") { try EventRecord.order(sql: "id DESC").limit(count).fetchAll($0).reversed() }
  }
}

// MARK: - The gateway

extension Journal {
  func write<Result>(_ operation: String, _ body: (Database) throws -> Result) throws -> Result {
    try Self.reporting(operation, path) { try queue.write(body) }
  }

  func read<Result>(_ operation: String, _ body: (Database) throws -> Result) throws -> Result {
    try Self.reporting(operation, path) { try queue.read(body) }
  }

  /// Migrates the layout to the newest version, resuming an interrupted migration.
  func migrate() throws { try Self.reporting("updating the layout", path) { try Schema.migrator.migrate(queue) } }

  /// Turns SQLite's errors into the journal's.
  static func reporting<Result>(_ operation: String, _ path: String, _ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as DatabaseError {
      throw JournalError.database(error, operation, path)
    } catch let error as any Failure {
      throw error
    } catch {
      // The remaining errors are values of a type that their column cannot have.
      throw JournalError.damaged(path, "\(operation) failed: a row holds a value that its column cannot have")
    }
  }

  /// A crash must not lose the database's name any more than its contents.
  private func syncParent() throws {
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let directory = unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw JournalError.system("open", parent, errno: errno) }
    defer { _ = Foundation.close(directory) }
    guard fsync(directory) == 0 else { throw JournalError.system("fsync", parent, errno: errno) }
  }
}
