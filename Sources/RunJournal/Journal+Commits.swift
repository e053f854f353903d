// The ledger: committed steps, and the clips that they consumed, each exactly once an epoch.
import Foundation
import GRDB
import Shared

extension Journal {
  /// The outcome of a batch of commit records.
  public struct CommitOutcome: Hashable, Sendable {
    public var recorded = 0
    /// Records of steps that the journal already held with the same digests.
    public var duplicates = 0

    public init() {}
  }

  /// Records commits. The journal may already hold some of them, since several ranks report the same step.
  ///
  /// Either all of them become durable or none.
  /// - Throws: `JournalError`, bad data, if the journal holds a step with another digest, if earlier steps are missing,
  ///   or if a step consumes a clip that the epoch has already consumed. The run must then stop.
  @discardableResult
  public func recordCommits(_ commits: [JournalCommit]) throws -> CommitOutcome {
    try write("recording a commit") { database in
      var outcome = CommitOutcome()
      for commit in commits.sorted(by: { $0.step.step < $1.step.step }) {
        if try isDuplicate(commit.step, database) {
          outcome.duplicates += 1
        } else {
          try insert(commit, database)
          outcome.recorded += 1
        }
      }
      return outcome
    }
  }

  /// The next step to commit, which is also the number of live steps.
  public func nextStep() throws -> Int { try read("reading the steps") { try Self.liveSteps($0) } }

  public func lastCommit() throws -> StepRecord? {
    try read("reading the steps") { try StepRecord.filter(sql: "rolled_back = 0").order(sql: "step DESC").fetchOne($0) }
  }

  /// The live commit of a step; nil if there is none.
  public func commit(step: Int) throws -> StepRecord? {
    try read("reading a step") { try Self.live(step, $0) }
  }

  /// The digest of the state before a step; nil if no live step led to it, or an older version wrote the row.
  public func stateDigest(before step: Int) throws -> Digest128? {
    guard step > 0, let row = try commit(step: step - 1) else { return nil }
    return Digest128(hex: row.stateDigest)
  }

  /// The highest generation with a step that was rolled back; 0 if there is none.
  public func rolledBackGeneration() throws -> Int {
    try read("reading the steps") {
      try Int.fetchOne($0, sql: "SELECT max(generation) FROM steps WHERE rolled_back = 1") ?? 0
    }
  }

  /// The live commits, in ascending order.
  public func commits(_ steps: Range<Int>) throws -> [StepRecord] {
    try read("reading the steps") { database in
      try StepRecord.filter(
        sql: "rolled_back = 0 AND step >= ? AND step < ?", arguments: [steps.lowerBound, steps.upperBound]
      ).order(sql: "step").fetchAll(database)
    }
  }

  /// What the live steps from `step` on came to, in their order.
  public func figures(from step: Int) throws -> [(clips: Int, top1: Int, loss: Double)] {
    try read("reading the steps") { database in
      try Row.fetchAll(
        database, sql: "SELECT clips, top1, loss FROM steps WHERE rolled_back = 0 AND step >= ? ORDER BY step",
        arguments: [step]
      ).map { ($0[0], $0[1], $0[2]) }
    }
  }

  /// Each rank's share of a live step, by rank.
  public func shares(step: Int) throws -> [ShareRecord] {
    try read("reading a step") { database in
      try ShareRecord.filter(
        sql: "step_id = (SELECT id FROM steps WHERE rolled_back = 0 AND step = ?)", arguments: [step]
      ).order(sql: "rank").fetchAll(database)
    }
  }

  /// The clips that the live steps of an epoch have consumed.
  public func consumedClips(epoch: Int) throws -> Int {
    try read("reading the ledger") {
      try Int.fetchOne($0, sql: "SELECT count(*) FROM consumed WHERE epoch = ?", arguments: [epoch]) ?? 0
    }
  }

  /// Rolls back to the state before step `step`, as when the run resumes from that checkpoint.
  ///
  /// Later commits stay as history (`rolled_back`); their clips count as not consumed, and later checkpoints as
  /// removed.
  /// - Returns: how many commits were rolled back.
  @discardableResult
  public func rollBack(to step: Int, reason: String, at time: Date) throws -> Int {
    try write("rolling back") { database in
      let live = try Self.liveSteps(database)
      guard step <= live else {
        throw JournalError.damaged(path, "it holds \(live) steps, and cannot go back to step \(step)")
      }
      guard step < live else { return 0 }
      // The condition on the epoch limits the search to the end of the ledger's key.
      let epoch = try Self.live(step, database)?.epoch ?? 0
      try database.execute(sql: "DELETE FROM consumed WHERE epoch >= ? AND step >= ?", arguments: [epoch, step])
      try database.execute(
        sql: "UPDATE steps SET rolled_back = 1 WHERE rolled_back = 0 AND step >= ?", arguments: [step])
      try database.execute(
        sql: "UPDATE checkpoints SET removed_at = ?, reason = ? WHERE step > ? AND removed_at IS NULL",
        arguments: [time, "rolled back: \(reason)", step])
      let text = "rolled back from step \(live) to step \(step): \(reason)"
      try EventRecord(at: time, level: .warning, source: "journal", text: text).insert(database)
      return live - step
    }
  }

  // MARK: - Within a transaction

  static func live(_ step: Int, _ database: Database) throws -> StepRecord? {
    try StepRecord.filter(sql: "rolled_back = 0 AND step = ?", arguments: [step]).fetchOne(database)
  }

  static func liveSteps(_ database: Database) throws -> Int {
    try Int.fetchOne(database, sql: "SELECT max(step) + 1 FROM steps WHERE rolled_back = 0") ?? 0
  }

  private func isDuplicate(_ step: StepRecord, _ database: Database) throws -> Bool {
    guard let known = try Self.live(step.step, database) else { return false }
    guard known.agrees(with: step) else {
      throw JournalError(
        .badData, path,
        "step \(step.step) was committed with digest \(known.digest) (rank \(known.reporter)), but rank \(step.reporter) "
          + "reports \(step.digest); the run stops: resume it from the last checkpoint and check these hosts' memory")
    }
    try database.execute(
      sql: "UPDATE steps SET duplicates = duplicates + 1 WHERE rolled_back = 0 AND step = ?", arguments: [step.step])
    return true
  }

  private func insert(_ commit: JournalCommit, _ database: Database) throws {
    var step = commit.step
    let next = try Self.liveSteps(database)
    guard step.step == next else {
      throw JournalError(
        .badData, path, "step \(step.step) is reported, but step \(next) was not; resume the run from its checkpoint")
    }
    guard step.clips == commit.consumed.count, step.loss.isFinite, step.learningRate.isFinite else {
      throw JournalError(
        .badData, path,
        "step \(step.step) of rank \(step.reporter) contradicts itself: \(step.clips) clips, "
          + "\(commit.consumed.count) listed, loss \(step.loss); run `coordinator audit`")
    }
    let pairs = ClipPairs.digest(step: step.step, commit.consumed.map { ($0.lane, $0.clip) }).description
    guard step.pairsDigest == nil || step.pairsDigest == pairs else {
      throw JournalError(
        .badData, path, "step \(step.step): the ranks trained other clips than those of the ledger; the run stops")
    }
    step.chain = step.chain(after: try Self.lastChain(database))
    try noteDifference(step, database)
    try step.insert(database)
    let id = database.lastInsertedRowID
    let ledger = try database.cachedStatement(sql: "INSERT INTO consumed (epoch, clip, step, lane) VALUES (?, ?, ?, ?)")
    for entry in commit.consumed {
      do { try ledger.execute(arguments: [step.epoch, entry.clip, step.step, entry.lane]) } catch let error
        as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT
      {
        throw JournalError(
          .badData, path,
          "step \(step.step) consumes clip \(entry.clip) a second time in epoch \(step.epoch); the run stops")
      }
    }
    for var share in commit.shares {
      share.stepId = id
      try share.insert(database)
    }
  }

  /// A step that is computed again after a rollback should have the same digest. If not, the user should know.
  private func noteDifference(_ step: StepRecord, _ database: Database) throws {
    let before = try StepRecord.filter(sql: "rolled_back = 1 AND step = ?", arguments: [step.step])
      .order(sql: "id DESC").fetchOne(database)
    guard let before, !before.agrees(with: step) else { return }
    let text = "step \(step.step), computed again, has digest \(step.digest); before it had \(before.digest)"
    try EventRecord(at: step.committedAt, level: .warning, source: "journal", text: text).insert(database)
  }

  private static func lastChain(_ database: Database) throws -> String {
    try String.fetchOne(database, sql: "SELECT chain FROM steps ORDER BY id DESC LIMIT 1") ?? ""
  }
}
