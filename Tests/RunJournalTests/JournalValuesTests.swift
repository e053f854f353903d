// Numbers in run.db that cannot be: they are refused with a line, and nothing traps.
import Foundation
import GRDB
import Shared
import TestSupport
import Testing
import Wire

@testable import DurableWriter
@testable import RunJournal

@Suite struct JournalValuesTests {
  static let values = [
    "-1", "9223372036854775807", "-9223372036854775807 - 1", "0", "NULL", "'text'", "1.5", "9e999", "x'00'",
  ]

  /// A journal with a row in every table.
  private func template() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let journal = try SampleState.journal(folder.path("run.db"))
    let time = SampleState.time
    try journal.memberJoined(
      MemberRecord(rank: 0, incarnation: "5", host: "h", pid: 1, threads: 1, joinedAt: time))
    try journal.record(VerdictRecord(step: 5, clip: 4, epoch: 1, lane: 0, reason: "broken", decidedAt: time))
    try journal.record(CheckpointRecord(step: 3, path: "p", manifestSha256: "m", bytes: 7, createdAt: time))
    try journal.record(DirectiveRecord(seq: 1, kind: "stop", issuedAt: time))
    try journal.record(EvaluationRecord(step: 3, clips: 4, top1: 1, top5: 2, at: time))
    try journal.record(EventRecord(at: time, level: .info, source: "coordinator", text: "here"))
    var commit = SampleState.commit(3)
    commit.shares = [ShareRecord(rank: 0, lanes: 2, rawBytes: 5, wireBytes: 4, times: StepTimes())]
    commit.step.pairsDigest = ClipPairs.digest(step: 3, commit.consumed.map { ($0.lane, $0.clip) }).description
    try journal.recordCommits([commit])
    try journal.close()
    return folder
  }

  @Test("an evaluation counts as long as the live steps lead to the state that it evaluated")
  func evaluatedSteps() throws {
    let folder = try TemporaryFolder()
    let journal = try SampleState.journal(folder.path("run.db"))
    func evaluated(_ step: Int, _ digest: String) throws {
      try journal.record(
        EvaluationRecord(step: step, clips: 4, top1: 1, top5: 2, at: SampleState.time, stateDigest: digest))
    }
    for step in 1...3 { try evaluated(step, #require(try journal.commit(step: step - 1)).stateDigest) }
    #expect(try journal.liveEvaluations().map(\.step) == [1, 2, 3])
    try journal.rollBack(to: 1, reason: "a test", at: SampleState.time)
    #expect(try journal.liveEvaluations().map(\.step) == [1])
    var other = SampleState.commit(1)
    other.step.stateDigest = "another"
    try journal.recordCommits([other])
    #expect(try journal.liveEvaluations().map(\.step) == [1])
    try evaluated(2, "another")
    try evaluated(2, "another")
    #expect(try journal.liveEvaluations().map(\.step) == [1, 2])
    try journal.close()
  }

  private func readAll(_ access: Journal.Access, _ folder: TemporaryFolder) throws {
    let journal = try Journal(folder.path("run.db"), access)
    defer { try? journal.close() }
    _ = try (journal.run(), journal.status(), journal.presentMembers(), journal.lastGeneration(), journal.nextStep())
    _ = try (journal.verdicts(from: 0), journal.checkpoints(), journal.directives(after: 0), journal.evaluations())
    _ = try (journal.events(last: 9), journal.commits(0..<99), journal.shares(step: 3), journal.consumedClips(epoch: 0))
    _ = try (journal.rolledBackGeneration(), journal.stateDigest(before: 1), journal.rejectedClips())
    try journal.requireSteps(1, witness: "a test")
  }

  @Test("each value that no column should have, in each column of each table, is refused with one line or harmless")
  func everyColumn() throws {
    let folder = try template()
    try readAll(.reading, folder)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path("run.db")))
    func put() throws {
      for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: folder.path("run.db\(suffix)")) }
      try bytes.write(to: URL(fileURLWithPath: folder.path("run.db")))
    }
    let queue = try DatabaseQueue(path: folder.path("run.db"))
    let columns = try queue.read { database in
      try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").flatMap {
        table in
        try Row.fetchAll(database, sql: "SELECT name, type FROM pragma_table_info('\(table)')")
          .map { (table: table, name: $0["name"] as String, isNumber: $0["type"] as String != "TEXT") }
      }
    }
    try queue.close()
    #expect(columns.count(where: \.isNumber) > 50)
    var refused = 0
    for column in columns {
      for value in Self.values where column.isNumber || ["NULL", "x'00'"].contains(value) {
        try put()
        let queue = try DatabaseQueue(path: folder.path("run.db"))
        // A constraint may refuse the value already.
        let isSet: Void? = try? queue.write {
          try $0.execute(
            sql: "PRAGMA ignore_check_constraints = ON; UPDATE \(column.table) SET \(column.name) = \(value)")
        }
        try queue.close()
        guard isSet != nil else { continue }
        for access in [Journal.Access.reading, .resume] {
          do { try readAll(access, folder) } catch let error as JournalError {
            refused += 1
            #expect(error.status == .badData, "\(column) = \(value): \(error)")
            #expect(!error.description.contains("\n"))
          } catch { Issue.record("\(column) = \(value): an error of a foreign type: \(error)") }
        }
        do { _ = try JournalAudit(folder.path("")).problems } catch let error as JournalError {
          #expect(error.status == .badData, "\(column) = \(value): \(error)")
        } catch { Issue.record("\(column) = \(value): an error of a foreign type: \(error)") }
      }
    }
    #expect(refused > 200)
  }

  @Test(
    "the statements of the collected cases are refused when a run is looked at, resumed or audited",
    arguments: [
      "update runs set steps_per_epoch=0", "update runs set steps_per_epoch=-9223372036854775808",
      "update runs set epochs=9223372036854775807", "update runs set epochs=-9223372036854775808",
      "update members set left_at=null, pid=2147483648", "update members set left_at=null, pid=4294967296",
      "update generations set number=-1", "update generations set number=9223372036854775807",
      "update generations set number=4294967296",
    ])
  func collected(statement: String) throws {
    let folder = try template()
    let queue = try DatabaseQueue(path: folder.path("run.db"))
    try queue.write { try $0.execute(sql: statement) }
    try queue.close()
    for access in [Journal.Access.reading, .resume] {
      let error = #expect(throws: JournalError.self) { try Journal(folder.path("run.db"), access) }
      #expect(error?.status == .badData)
      #expect(error?.description.contains("are not whole numbers from") == true, "\(String(describing: error))")
    }
    let problems = try JournalAudit(folder.path("")).problems
    #expect(problems.contains { $0.contains("are not whole numbers from") }, "\(problems)")
  }

  @Test("the ranks' own account of the clips must be the ledger's, and the audit compares them later")
  func pairs() throws {
    let folder = try template()
    let journal = try Journal(folder.path("run.db"), .resume)
    var other = SampleState.commit(4)
    other.step.pairsDigest = ClipPairs.digest(step: 4, [(0, 0), (1, 1)]).description
    let error = #expect(throws: JournalError.self) { try journal.recordCommits([other]) }
    #expect(error?.description.contains("trained other clips than those of the ledger") == true)
    #expect(try journal.nextStep() == 4)
    try journal.close()
    #expect(try !JournalAudit(folder.path("")).problems.contains { $0.contains("trained") })
    let queue = try DatabaseQueue(path: folder.path("run.db"))
    try queue.write { try $0.execute(sql: "UPDATE steps SET pairs_digest = 'x' WHERE step = 3") }
    try queue.close()
    let problems = try JournalAudit(folder.path("")).problems
    #expect(
      problems.contains { $0.contains("epoch 1, step 3: the clips consumed are not those that the ranks trained") })
    #expect(problems.contains { $0.contains("the row of step 3 (id 4) is not the one that was written") })
  }
}
