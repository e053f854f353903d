// How far a run is, in one value, for `coordinator status`.
import Foundation
import GRDB

/// How far a run is.
public struct JournalStatus: Hashable, Sendable {
  public var run: RunRecord?
  /// The run's epochs, by the newest revision.
  public var epochs: Int
  /// How many steps are committed.
  public var steps: Int
  public var lastCommit: StepRecord?
  public var lastGeneration: GenerationRecord?
  public var presentMembers: [MemberRecord]
  /// The newest checkpoint that has not been removed.
  public var newestCheckpoint: CheckpointRecord?
  public var lastEvaluation: EvaluationRecord?
  /// Of the states that the live steps lead to, in the order of the steps.
  public var evaluations: [EvaluationRecord]
  /// The pause that lasts, if there is one.
  public var pause: PauseRecord?
  /// The newest event of level warning or above.
  public var lastWarning: EventRecord?
  /// Clips that steps go without.
  public var exclusions: Int
  public var rejectedClips: Int
  /// Classes of the clips, counted up to six.
  public var classes: Int
  /// How many commits were reported again, and how many were rolled back.
  public var duplicates: Int
  public var rolledBack: Int
  /// Sums over all live steps.
  public var rawBytes: Int
  public var wireBytes: Int
  public var ringSeconds: Double
}

extension Journal {
  /// - Throws: `JournalError` if the database cannot be read.
  public func status() throws -> JournalStatus {
    try read("reading the status") { database in
      let sums = try Row.fetchOne(
        database,
        sql: """
          SELECT ifnull(sum(duplicates), 0), ifnull(sum(rolled_back), 0),
            ifnull(sum(raw_bytes) FILTER (WHERE rolled_back = 0), 0),
            ifnull(sum(wire_bytes) FILTER (WHERE rolled_back = 0), 0),
            ifnull(sum(ring_seconds) FILTER (WHERE rolled_back = 0), 0.0) FROM steps
          """)
      let run = try RunRecord.fetchOne(database)
      let revised = try Self.revisions(database).last { $0.key == "schedule.epochs" }
      return JournalStatus(
        run: run, epochs: revised.flatMap { Int($0.new) } ?? run?.epochs ?? 0, steps: try Self.liveSteps(database),
        lastCommit: try StepRecord.filter(sql: "rolled_back = 0").order(sql: "step DESC").fetchOne(database),
        lastGeneration: try GenerationRecord.order(sql: "number DESC").fetchOne(database),
        presentMembers: try MemberRecord.filter(sql: "left_at IS NULL").order(sql: "rank").fetchAll(database),
        newestCheckpoint: try CheckpointRecord.filter(sql: "removed_at IS NULL").order(sql: "step DESC")
          .fetchOne(database),
        lastEvaluation: try EvaluationRecord.order(sql: "id DESC").fetchOne(database),
        evaluations: try Self.liveEvaluations(database),
        pause: try PauseRecord.filter(sql: "ended_at IS NULL").fetchOne(database),
        lastWarning: try EventRecord.filter(sql: "level <> 'info'").order(sql: "id DESC").fetchOne(database),
        exclusions: try VerdictRecord.fetchCount(database),
        rejectedClips: try RejectedRecord.fetchCount(database),
        classes: try Int.fetchOne(
          database, sql: "SELECT count(*) FROM (SELECT DISTINCT label FROM clips LIMIT 6)") ?? 0,
        duplicates: sums?[0] ?? 0, rolledBack: sums?[1] ?? 0,
        rawBytes: sums?[2] ?? 0, wireBytes: sums?[3] ?? 0, ringSeconds: sums?[4] ?? 0)
    }
  }
}
