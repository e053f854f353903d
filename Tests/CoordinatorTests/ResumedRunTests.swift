// Going on with a run whose journal holds what cannot be: an error with one line or success, and never a trap.
import Checkpoint
import Dataset
import Foundation
import GRDB
import Recipes
import RunJournal
import Shared
import TestSupport
import Testing
import Video
import Wire

@testable import Coordinator
@testable import CoordinatorCore

@Suite struct ResumedRunTests {
  private static let time = Date(timeIntervalSince1970: 1_700_000_000)

  /// 6 clips, 2 lanes of one clip.
  private func plan() throws -> RunPlan {
    var recipe = Recipe()
    (recipe.batch.lanes, recipe.batch.clipsPerLane) = (2, 1)
    let clips = (0..<6).map {
      ClipEntry(
        id: "c\($0)", path: "c\($0).mp4", labels: [0], bytes: 9, hash: Digest128(high: 1, low: UInt64($0)), frames: 30)
    }
    let indexes = Indexes(
      train: try ClipIndex(classes: ["a"], clips: clips), validation: try ClipIndex(classes: ["a"], clips: []),
      rejectedTrain: .none, rejectedValidation: .none)
    return RunPlan(recipe: recipe, indexes: indexes, lastStep: 9)
  }

  private func digest(_ step: Int) -> String { Digest128(high: 0, low: UInt64(step)).description }

  private func run(_ plan: RunPlan) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let journal = try Journal(folder.path("run.db"), .create)
    try journal.beginRun(
      RunRecord(
        identity: "id", name: "n", seed: 1, recipeDigest: plan.recipe.digest.description,
        indexDigest: plan.indexes.train.digest.description, fingerprint: "", clips: 6, stepsPerEpoch: 3, epochs: 3,
        createdAt: Self.time), clips: [], rejected: [])
    try journal.memberJoined(
      MemberRecord(rank: 0, incarnation: "5", host: "h", pid: 1, threads: 1, joinedAt: Self.time))
    let member = Member(
      identity: WorkerIdentity(rank: 0, incarnation: 5), endpoint: "tcp://127.0.0.1:5000", lanes: [0, 1])
    let made = Generation(number: 1, startStep: 0, members: [member])
    try journal.record(
      GenerationRecord(
        number: 1, startStep: 0, reason: "start", lanes: [0: [0, 1]], ring: [0], createdAt: Self.time,
        plan: String(decoding: try JSONEncoder().encode(made), as: UTF8.self)))
    try journal.recordCommits(
      (0..<4).map { step in
        JournalCommit(
          step: StepRecord(
            step: step, epoch: step / 3, generation: 1, attempt: 0, digest: "d", weightsDigest: digest(step),
            stateDigest: digest(step + 1), loss: 1, top1: 0, top5: 0, clips: 2, learningRate: 0.1, gradientBits: 10,
            rawBytes: 1, wireBytes: 1, ringSeconds: 0, computeSeconds: 0, decodeWaitSeconds: 0, reporter: 0,
            committedAt: Self.time),
          consumed: (0..<2).map { ConsumedClip(lane: $0, clip: 2 * (step % 3) + $0) })
      })
    _ = try journal.rollBack(to: 3, reason: "test", at: Self.time)
    try journal.record(VerdictRecord(step: 3, clip: 4, epoch: 1, lane: 0, reason: "", decidedAt: Self.time))
    try journal.record(DirectiveRecord(seq: 1, kind: "stop", issuedAt: Self.time))
    try journal.close()
    return folder
  }

  /// Opens the journal as a coordinator does that goes on, and lets its membership begin.
  private func resume(_ folder: TemporaryFolder, _ plan: RunPlan) throws -> Membership.Past {
    let journal = try Journal(folder.path("run.db"), .resume)
    defer { try? journal.close() }
    let store = try CheckpointStore(folder.path("checkpoints"), access: .writing)
    let past = try ResumedRun(journal, store, plan, say: { _ in }).past
    var machine = CoordinatorMachine(
      plan.settings([Slot(rank: 0, host: "localhost")], startsWorkers: true), past: past)
    _ = machine.step(.tick, at: .seconds(1))
    return past
  }

  private func change(_ sql: String, _ folder: TemporaryFolder) -> Bool {
    guard let queue = try? DatabaseQueue(path: folder.path("run.db")) else { return false }
    defer { try? queue.close() }
    return (try? queue.write { try $0.execute(sql: sql) }) != nil
  }

  @Test("a run whose pixels another version made is refused with that reason; one that has not trained yet is not")
  func otherPixels() throws {
    func check(_ fingerprint: String) throws {
      let record = RunRecord(
        name: "n", seed: 1, recipeDigest: "r", indexDigest: "i", fingerprint: fingerprint, clips: 6, stepsPerEpoch: 3,
        epochs: 3, createdAt: Self.time)
      try ResumedRun.requireSameClips(record, "DIR")
    }
    try check("")
    let own = VideoFingerprint.entries.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    try check((own + ["kernels x86-64-v4", "onednn v2.6.3, threads 1"]).joined(separator: ", "))
    let old = #expect(throws: SharedError.self) {
      try check("avcodec 59.37.100, avformat 59.27.100, kernels x86-64-v4, self-test a b, swscale 6.7.100")
    }
    #expect(old?.status == .badConfiguration)
    #expect(
      old?.description.contains(
        "it converted pixels with FFmpeg's scaler, here in version 1; it chose frames and crops by older rules, here in "
          + "version 1") == true, "\(String(describing: old))")
    let newer = #expect(throws: SharedError.self) { try check("conversion 7, sampling 1") }
    #expect(newer?.description.contains("it converted pixels in version 7, here in version 1") == true)
  }

  @Test("a resumed run knows what the steps of the epoch came to, without those that were rolled back")
  func figures() throws {
    let plan = try plan()
    let past = try resume(try run(plan), plan)
    #expect(past.figuresFrom == 0)
    #expect(past.figures == Array(repeating: StepFigures(clips: 2, top1: 0, loss: 1), count: 3))
  }

  @Test("each number of each table at its bounds and beyond: resuming fails with a line of bad data, or goes on")
  func everyNumber() throws {
    let plan = try plan()
    let folder = try run(plan)
    #expect(try resume(folder, plan).next == 3)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path("run.db")))
    let queue = try DatabaseQueue(path: folder.path("run.db"))
    let columns = try queue.read { database in
      try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'").flatMap { table in
        try String.fetchAll(database, sql: "SELECT name FROM pragma_table_info('\(table)') WHERE type <> 'TEXT'")
          .map { (table: table, name: $0) }
      }
    }
    try queue.close()
    let values = [
      "-1", "0", "1", "255", "256", "65535", "2147483647", "2147483648", "4294967295", "4294967296",
      "9007199254740992", "9223372036854775807", "-9223372036854775807 - 1", "NULL", "'text'", "1.5",
    ]
    for (table, name) in columns {
      for value in values {
        for suffix in ["", "-wal", "-shm"] {
          try? FileManager.default.removeItem(atPath: folder.path("run.db\(suffix)"))
        }
        try bytes.write(to: URL(fileURLWithPath: folder.path("run.db")))
        guard change("UPDATE \(table) SET \(name) = \(value)", folder) else { continue }
        do { _ = try resume(folder, plan) } catch let error as any Failure {
          #expect(error.status == .badData, "\(table).\(name) = \(value): \(error)")
          #expect(!error.description.contains("\n"))
        } catch { Issue.record("\(table).\(name) = \(value): an error of a foreign type: \(error)") }
      }
    }
  }

  @Test(
    "a generation's plan that cannot be is refused",
    arguments: [
      (#""startStep":0"#, #""startStep":18446744073709551615"#), (#""startStep":0"#, #""startStep":1"#),
      (#""number":1"#, #""number":4294967295"#), (#""number":1"#, #""number":2"#),
      (#""directivesDone":0"#, #""directivesDone":18446744073709551615"#), (#""rolledBack":0"#, #""rolledBack":7"#),
      (#""rank":0"#, #""rank":-1"#), (#""rank":0"#, #""rank":9223372036854775807"#),
      (#""lanes":[0,1]"#, #""lanes":[-1,1]"#), (#""lanes":[0,1]"#, #""lanes":[0,2]"#),
      (#""lanes":[0,1]"#, #""lanes":[0,0]"#), (#""verdicts":[]"#, #""verdicts":[{"step":1,"lane":-1,"clip":0}]"#),
    ])
  func generationPlan(text: String, replacement: String) throws {
    let plan = try plan()
    let folder = try run(plan)
    #expect(change("UPDATE generations SET plan = replace(plan, '\(text)', '\(replacement)')", folder))
    let error = #expect(throws: (any Error).self) { try resume(folder, plan) }
    #expect((error as? any Failure)?.status == .badData, "\(String(describing: error))")
  }
}
