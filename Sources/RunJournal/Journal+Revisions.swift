// Revisions of a run's recipe: which key, from which step on.
import Foundation
import GRDB
import Recipes
import Shared

/// A revision of the run's recipe.
struct RevisionRecord: JournalRecord {
  static let databaseTableName = "revisions"
  /// From 1.
  var seq: Int
  /// The first step that uses the new value.
  var step: Int
  var key: String
  var old: String
  var new: String
  var at: Date
}

extension Journal {
  /// Oldest first.
  public func revisions() throws -> [RecipeRevision] {
    try read("reading the revisions") { try Self.revisions($0) }
  }

  static func revisions(_ database: Database) throws -> [RecipeRevision] {
    try RevisionRecord.order(sql: "seq").fetchAll(database).map {
      RecipeRevision(step: $0.step, key: $0.key, old: $0.old, new: $0.new)
    }
  }

  /// Records revisions, all or none, before any step uses them.
  ///
  /// Workers that went on without their coordinator use the old values. So the run gets a new identity: those workers
  /// learn that their run is over, and nobody waits for them.
  /// - Throws: `JournalError` if a committed step should have used a revision.
  public func revise(_ revisions: [RecipeRevision], identity: String, at time: Date) throws {
    try write("recording a revision") { database in
      let live = try Self.liveSteps(database)
      var seq = try Int.fetchOne(database, sql: "SELECT max(seq) FROM revisions") ?? 0
      for revision in revisions {
        guard revision.step >= live else {
          throw JournalError(
            .badData, path, "\(revision.key) cannot change from step \(revision.step) on: \(live) steps are committed")
        }
        seq += 1
        try RevisionRecord(
          seq: seq, step: revision.step, key: revision.key, old: revision.old, new: revision.new, at: time
        ).insert(database)
      }
      try database.execute(sql: "UPDATE runs SET identity = ?", arguments: [identity])
      try database.execute(
        sql: "UPDATE members SET left_at = ?, reason = 'the recipe was revised' WHERE left_at IS NULL",
        arguments: [time])
    }
  }
}
