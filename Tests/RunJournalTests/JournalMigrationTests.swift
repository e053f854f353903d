// Journals of older versions open, are brought up to date, and go on.
import Foundation
import GRDB
import Shared
import TestSupport
import Testing

@testable import RunJournal

@Suite struct JournalMigrationTests {
  private static let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/layout3.sql")

  private func journal() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let sql = try String(contentsOf: Self.fixture, encoding: .utf8)
    let queue = try DatabaseQueue(path: folder.path("run.db"))
    try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
    try queue.close()
    return folder
  }

  private func execute(_ sql: String, _ path: String) throws {
    let queue = try DatabaseQueue(path: path)
    try queue.write { try $0.execute(sql: sql) }
    try queue.close()
  }

  /// The run's last step, with the two clips that its last epoch has not consumed.
  private func last(_ journal: Journal) throws -> JournalCommit {
    var step = try #require(try journal.lastCommit())
    let consumed = [ConsumedClip(lane: 0, clip: 0), ConsumedClip(lane: 1, clip: 2)]
    (step.step, step.weightsDigest) = (11, step.stateDigest)
    step.pairsDigest = ClipPairs.digest(step: 11, consumed.map { ($0.lane, $0.clip) }).description
    return JournalCommit(step: step, consumed: consumed)
  }

  @Test("a journal of the version before the migrator opens, keeps every row and its chain, and goes on")
  func layout3() throws {
    let folder = try journal()
    let reading = #expect(throws: JournalError.self) { try Journal(folder.path("run.db"), .reading) }
    #expect(reading?.description.contains("has the older layout 3; resume the run once") == true)
    #expect(throws: JournalError.self) { try JournalAudit(folder.path("")) }

    let journal = try Journal(folder.path("run.db"), .resume)
    #expect(try journal.nextStep() == 11)
    #expect(try journal.run()?.clips == 6)
    #expect(try journal.directives(after: 0).map(\.kind) == ["stop"])
    #expect(try journal.lastCommit()?.pairsDigest == nil)
    #expect(try journal.lastGeneration()?.ring == [0, 1])
    #expect(try JournalAudit(folder.path("")).problems == [])
    #expect(try journal.recordCommits([try last(journal)]).recorded == 1)
    try journal.close()

    let again = try Journal(folder.path("run.db"), .resume)
    #expect(try again.nextStep() == 12)
    #expect(try again.lastCommit()?.pairsDigest != nil)
    #expect(try Journal(folder.path("run.db"), .reading).status().steps == 12)
    let audit = try JournalAudit(folder.path(""))
    #expect(audit.problems == [] && audit.wholeEpochs == 4)
  }

  /// `user_version` and tables changed in one transaction, so what an interrupted update left is an older layout.
  @Test("a journal of any older layout is brought up to date", arguments: [1, 2])
  func older(layout: Int) throws {
    let folder = try journal()
    let undo = [
      "DROP TABLE shares; PRAGMA user_version = 2",
      """
      DROP TABLE verdicts; ALTER TABLE runs DROP COLUMN identity; ALTER TABLE generations DROP COLUMN plan;
      DELETE FROM consumed; DELETE FROM steps; DELETE FROM checkpoints; ALTER TABLE steps DROP COLUMN state_digest;
      PRAGMA user_version = 1
      """,
    ]
    for sql in undo.prefix(3 - layout) { try execute(sql, folder.path("run.db")) }
    let journal = try Journal(folder.path("run.db"), .resume)
    #expect(try journal.nextStep() == (layout == 2 ? 11 : 0))
    #expect(try journal.status().run?.clips == 6)
    try journal.close()
    try Journal(folder.path("run.db"), .reading).close()
  }

  @Test("an update that was interrupted between two migrations, or before the first, is finished")
  func interrupted() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("run.db")
    let queue = try DatabaseQueue(path: path)
    try queue.write { try $0.execute(sql: "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)") }
    try queue.close()
    for name in [nil, "run", "state digests and verdicts"] {
      if let name {
        let queue = try DatabaseQueue(path: path)
        try Schema.migrator.migrate(queue, upTo: name)
        try queue.close()
      }
      let copy = folder.path("copy.db")
      try? FileManager.default.removeItem(atPath: copy)
      try FileManager.default.copyItem(atPath: path, toPath: copy)
      let journal = try Journal(copy, .resume)
      #expect(try journal.run() == nil)
      try journal.close()
    }
  }

  @Test("a layout that the tables are not of is refused", arguments: [0, 1, 2, 3, 9, 11])
  func otherNumber(version: Int) throws {
    let folder = try journal()
    try Journal(folder.path("run.db"), .resume).close()
    try execute("PRAGMA user_version = \(version)", folder.path("run.db"))
    let error = #expect(throws: JournalError.self) { try Journal(folder.path("run.db"), .resume) }
    #expect(error?.status == .badData)
  }
}
