// The journal: what was recorded is there after reopening, once; what was altered is noticed.
import Foundation
import GRDB
import Recipes
import Shared
import Testing
import Wire

@testable import RunJournal

private let time = Date(timeIntervalSince1970: 1_700_000_000)

/// 6 clips, 3 steps of 2 clips an epoch; step S consumes clips 2·(S mod 3) and the next.
private func commit(_ step: Int, digest: String = "d", clips: [Int]? = nil, reporter: Int = 0) -> JournalCommit {
  let first = 2 * (step % 3)
  let consumed = (clips ?? [first, first + 1]).enumerated().map { ConsumedClip(lane: $0.offset, clip: $0.element) }
  let record = StepRecord(
    step: step, epoch: step / 3, generation: 1, attempt: 0, digest: "\(digest)\(step)", weightsDigest: "w\(step)",
    loss: 1.5 / Double(step + 1), top1: 1, top5: 2, clips: consumed.count, learningRate: 0.1, gradientBits: 10,
    rawBytes: 1000, wireBytes: 400, ringSeconds: 0.25, computeSeconds: 1, decodeWaitSeconds: 0, reporter: reporter,
    committedAt: time)
  return JournalCommit(
    step: record, consumed: consumed,
    shares: [1, 0].map { ShareRecord(rank: $0, lanes: 1, rawBytes: 500, wireBytes: 200, times: times(Double($0))) })
}

private func times(_ apply: Double) -> StepTimes {
  var times = StepTimes()
  (times.backward, times.apply) = (0.5, apply)
  return times
}

private let exactlyOnce = """
  SELECT s.epoch, s.clips_of_steps, count(c.clip) AS consumed, count(DISTINCT c.clip) AS different,
    (SELECT count(*) FROM clips) AS clips
  FROM (SELECT epoch, sum(clips) AS clips_of_steps FROM steps WHERE rolled_back = 0 GROUP BY epoch) AS s
  JOIN consumed AS c ON c.epoch = s.epoch
  JOIN steps AS live ON live.step = c.step AND live.epoch = c.epoch AND live.rolled_back = 0
  GROUP BY s.epoch ORDER BY s.epoch;
  """

@Suite final class RunJournalTests {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent("tamring-\(UUID().uuidString)").path
  var path: String { "\(directory)/run.db" }

  init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private func begun() throws -> Journal {
    let journal = try Journal(path, .create)
    let run = RunRecord(
      name: "test", seed: .max, recipeDigest: "r", indexDigest: "i", fingerprint: "f", clips: 6, stepsPerEpoch: 3,
      epochs: 2, createdAt: time)
    let clips = (0..<6).map { ClipRecord(clip: $0, id: "c\($0)", path: "c\($0).mp4", label: "a", bytes: 9, hash: "h") }
    try journal.beginRun(
      run, clips: clips, rejected: [RejectedRecord(list: "train", id: "x", path: "x.mp4", reason: "empty")])
    return journal
  }

  private func sql(_ text: String) throws {
    let queue = try DatabaseQueue(path: path)
    try queue.write { try $0.execute(sql: text) }
    try queue.close()
  }

  @Test("every record comes back after reopening")
  func roundTrip() throws {
    let journal = try begun()
    let member = MemberRecord(rank: 1, incarnation: "a", host: "localhost", pid: 5, threads: 2, joinedAt: time)
    let generation = GenerationRecord(
      number: 1, startStep: 0, reason: "start", lanes: [0: [0], 1: [1, 2]], ring: [1, 0], createdAt: time)
    let checkpoint = CheckpointRecord(step: 2, path: "p", manifestSha256: "m", bytes: 7, createdAt: time)
    let evaluation = EvaluationRecord(step: 2, clips: 4, top1: 1, top5: 3, at: time)
    let directive = DirectiveRecord(seq: 3, kind: "checkpoint", issuedAt: time)
    let event = EventRecord(at: time, level: .warning, source: "rank 1", text: "late")
    try journal.memberJoined(member)
    try journal.record(generation)
    try journal.recordCommits([commit(1), commit(0)])
    try journal.record(checkpoint)
    try journal.record(checkpoint)
    try journal.record(evaluation)
    try journal.record(directive)
    try journal.record(event)
    try journal.close()

    let again = try Journal(path, .resume)
    #expect(try again.run()?.seed == String(UInt64.max))
    #expect(try again.presentMembers() == [member])
    #expect(try again.lastGeneration() == generation)
    #expect(try again.checkpoints() == [checkpoint])
    #expect(try again.evaluations() == [evaluation])
    #expect(try again.directives(after: directive.seq - 1) == [directive])
    #expect(try again.events(last: 5) == [event])
    #expect(try again.rejectedClips().map(\.reason) == ["empty"])
    #expect(try again.commit(step: 1)?.weightsDigest == "w1")
    let shares = try again.shares(step: 1)
    #expect(shares.map(\.rank) == [0, 1] && shares.map(\.apply) == [0, 1] && shares[0].backward == 0.5)
    #expect(try again.commits(0..<9).map(\.step) == [0, 1])
    try again.memberLeft(rank: 1, incarnation: "a", reason: "killed", at: time)
    let status = try again.status()
    #expect(status.steps == 2)
    #expect(status.wireBytes == 800)
    #expect(status.presentMembers.isEmpty)
    #expect(status.newestCheckpoint == checkpoint)
    #expect(try Journal(path, .reading).status() == status)
    #expect(throws: JournalError.self) { try Journal(path, .create) }
    #expect(throws: JournalError.self) { try Journal(directory + "/none.db", .resume) }
  }

  @Test("a repeated commit is counted, a different one stops the run, and so does a gap")
  func duplicates() throws {
    let journal = try begun()
    #expect(try journal.recordCommits([commit(0), commit(0, reporter: 1)]).duplicates == 1)
    #expect(try journal.recordCommits([commit(0, reporter: 2)]).recorded == 0)
    #expect(try journal.status().duplicates == 2)
    let conflict = #expect(throws: JournalError.self) {
      try journal.recordCommits([commit(1), commit(0, digest: "e")])
    }
    #expect(conflict?.status == .badData)
    #expect(conflict?.description.contains("d0") == true && conflict?.description.contains("e0") == true)
    #expect(throws: JournalError.self) { try journal.recordCommits([commit(0, clips: [3, 4])]) }
    #expect(throws: JournalError.self) { try journal.recordCommits([commit(2)]) }
    #expect(try journal.nextStep() == 1)
  }

  @Test("no clip is consumed twice in an epoch, and a batch with such a step leaves no trace")
  func consumedOnce() throws {
    let journal = try begun()
    let error = #expect(throws: JournalError.self) {
      try journal.recordCommits([commit(0), commit(1, clips: [2, 1])])
    }
    #expect(error?.description.contains("clip 1 a second time in epoch 0") == true)
    #expect(try journal.nextStep() == 0)
    #expect(try journal.consumedClips(epoch: 0) == 0)
  }

  @Test("after a rollback the same steps are committed again and the history stays")
  func rollBack() throws {
    let journal = try begun()
    try journal.recordCommits((0..<5).map { commit($0) })
    try journal.record(CheckpointRecord(step: 2, path: "p", manifestSha256: "m", bytes: 7, createdAt: time))
    try journal.record(CheckpointRecord(step: 4, path: "q", manifestSha256: "n", bytes: 7, createdAt: time))
    #expect(try journal.rollBack(to: 2, reason: "test", at: time) == 3)
    #expect(try journal.rollBack(to: 2, reason: "test", at: time) == 0)
    #expect(try journal.nextStep() == 2)
    #expect(try journal.checkpoints().map(\.step) == [2])
    #expect(try journal.consumedClips(epoch: 0) == 4)
    #expect(try journal.consumedClips(epoch: 1) == 0)
    try journal.recordCommits([commit(2), commit(3, digest: "other")] + [commit(4), commit(5)])
    #expect(try journal.status().rolledBack == 3)
    #expect(try journal.events(last: 1).first?.text.contains("step 3, computed again") == true)
    try journal.record(
      GenerationRecord(number: 1, startStep: 0, reason: "start", lanes: [0: [0, 1]], ring: [0], createdAt: time))
    #expect(try JournalAudit(directory).problems == [])
    try journal.close()
    #expect(try Journal(path, .resume).nextStep() == 6)
    #expect(throws: JournalError.self) { try Journal(path, .resume).rollBack(to: 9, reason: "", at: time) }
  }

  @Test(
    "an altered, removed or reordered row of steps is found at opening",
    arguments: [
      "UPDATE steps SET loss = 0.5 WHERE step = 1", "UPDATE steps SET digest = 'x' WHERE step = 2",
      "UPDATE steps SET clips_digest = 'x' WHERE step = 2", "DELETE FROM steps WHERE step = 1",
      "UPDATE steps SET rolled_back = 1 WHERE step = 1", "DELETE FROM steps WHERE step = 3",
      "DELETE FROM steps", "PRAGMA user_version = 99", "PRAGMA user_version = 0",
    ])
  func damage(statement: String) throws {
    let journal = try begun()
    try journal.recordCommits((0..<4).map { commit($0) })
    try journal.record(CheckpointRecord(step: 4, path: "q", manifestSha256: "n", bytes: 7, createdAt: time))
    try journal.close()
    try sql(statement)
    let error = #expect(throws: (any Error).self) { try Journal(path, .resume) }
    #expect((error as? JournalError)?.status == .badData, "\(String(describing: error))")
  }

  @Test("a run without steps begins anew with its events alone; one that ever had a step does not")
  func beginsAnew() throws {
    let journal = try begun()
    try journal.record(EventRecord(at: time, level: .info, source: "test", text: "first"))
    try journal.record(CheckpointRecord(step: 0, path: "q", manifestSha256: "n", bytes: 7, createdAt: time))
    var run = try #require(try journal.run())
    (run.recipeDigest, run.clips) = ("other", 1)
    func begin() throws {
      try journal.beginRun(
        run, anew: true, clips: [ClipRecord(clip: 0, id: "only", path: "p", label: "l", bytes: 1, hash: "h")],
        rejected: [])
    }
    try begin()
    #expect(try journal.run() == run)
    let status = try journal.status()
    #expect(status.newestCheckpoint == nil && status.presentMembers.isEmpty && status.rejectedClips == 0)
    #expect(try journal.events(last: 9).map(\.text) == ["first"])
    run.clips = 6
    try journal.beginRun(run, anew: true, clips: [], rejected: [])
    #expect(throws: JournalError.self) { try journal.beginRun(run, clips: [], rejected: []) }
    try journal.recordCommits([commit(0)])
    try journal.rollBack(to: 0, reason: "test", at: time)
    #expect(throws: JournalError.self) { try begin() }
    #expect(try journal.run() == run)
  }

  @Test("a file that is no database, and one that is cut, are refused as bad data", arguments: [100, 4096, 9000])
  func cut(length: Int) throws {
    let journal = try begun()
    try journal.close()
    let whole = try #require(FileManager.default.contents(atPath: path))
    try (length == 100 ? Data(repeating: 7, count: 100) : whole.prefix(length)).write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: JournalError.self) { try Journal(path, .resume) }
    #expect(error?.status == .badData)
  }

  @Test("revisions come back in order, count for the epochs, and give the run another identity without members")
  func revisions() throws {
    let journal = try begun()
    #expect(try journal.revisions() == [])
    _ = try journal.identity(orElse: "first")
    try journal.memberJoined(MemberRecord(rank: 1, incarnation: "a", host: "h", pid: 5, threads: 2, joinedAt: time))
    try journal.recordCommits((0..<2).map { commit($0) })
    let first = RecipeRevision(step: 2, key: "schedule.epochs", old: "2", new: "5")
    let others = [
      RecipeRevision(step: 2, key: "data.evaluation_clips", old: "1", new: "3"),
      RecipeRevision(step: 4, key: "schedule.epochs", old: "5", new: "4"),
    ]
    try journal.revise([first], identity: "second", at: time)
    #expect(try journal.status().epochs == 5)
    try journal.revise(others, identity: "third", at: time)
    try journal.close()
    let again = try Journal(path, .resume)
    #expect(try again.revisions() == [first] + others)
    #expect(try again.identity(orElse: "offered") == "third")
    #expect(try again.presentMembers() == [])
    #expect(try again.status().epochs == 4 && again.run()?.epochs == 2)
    // A step that is committed went by the old value.
    let error = #expect(throws: JournalError.self) {
      try again.revise(
        [RecipeRevision(step: 1, key: "schedule.epochs", old: "4", new: "9")], identity: "fourth", at: time)
    }
    #expect(error?.description.contains("2 steps are committed") == true)
    #expect(try again.revisions().count == 3 && again.identity(orElse: "") == "third")
  }

  @Test("a journal that is older than its witness is refused")
  func witness() throws {
    let journal = try begun()
    try journal.recordCommits([commit(0)])
    try journal.requireSteps(1, witness: "rank 1")
    #expect(throws: JournalError.self) { try journal.requireSteps(2, witness: "rank 1") }
  }

  @Test("the documented query shows each epoch's clips consumed exactly once")
  func documentedQuery() throws {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("docs/journal.md")
    #expect(try String(contentsOf: page, encoding: .utf8).contains(exactlyOnce))
    let journal = try begun()
    try journal.recordCommits((0..<5).map { commit($0) })
    try journal.rollBack(to: 1, reason: "test", at: time)
    try journal.recordCommits((1..<6).map { commit($0) })
    let rows = try DatabaseQueue(path: path).read { try Row.fetchAll($0, sql: exactlyOnce) }
    #expect(rows.map { row in (0..<5).map { row[$0] as Int } } == [[0, 6, 6, 6, 6], [1, 6, 6, 6, 6]])
  }

  @Test("the chain is SHA-256 over the documented text")
  func chain() throws {
    let journal = try begun()
    try journal.recordCommits([commit(0), commit(1)])
    // 1.5, 0.75 and 0.1 as IEEE 754 bits; made with Python's struct.pack(">d", x).hex().
    let (a, b) = (sha256Hex(Data("0:0,1:1".utf8)), sha256Hex(Data("0:2,1:3".utf8)))
    let first = sha256Hex(Data("\n0|0|1|0|d0|w0|3ff8000000000000|1|2|2|3fb999999999999a|10|\(a)".utf8))
    let second = sha256Hex(Data("\(first)\n1|0|1|0|d1|w1|3fe8000000000000|1|2|2|3fb999999999999a|10|\(b)".utf8))
    #expect(try journal.commits(0..<2).map(\.chain) == [first, second])
  }

  @Test("a second coordinator is refused while the first holds the lock, and told who that is")
  func lock() throws {
    do {
      let lock = try RunLock(directory, owner: "pid 7 on here")
      let error = #expect(throws: JournalError.self) { try RunLock(directory) }
      #expect(error?.status == .unavailable)
      #expect(error?.description.contains("another coordinator (pid 7 on here)") == true)
      withExtendedLifetime(lock) {}
    }
    #expect(try String(contentsOfFile: directory + "/run.lock", encoding: .utf8) == "")
    _ = try RunLock(directory)
    #expect(throws: JournalError.self) { try RunLock(directory + "/none") }
  }
}
