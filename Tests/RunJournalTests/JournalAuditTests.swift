// The audit of the journal: a sound one passes, and each thing that is not as it must be is named.
import Foundation
import GRDB
import Recipes
import Shared
import TestSupport
import Testing

@testable import RunJournal

private let time = Date(timeIntervalSince1970: 1_700_000_000)

/// 7 clips, 3 steps an epoch of 3, 3 and 1 clips, 2 epochs; clip 4 cannot be decoded in step 4.
private struct AuditedRun {
  let folder: TemporaryFolder

  /// Whether the first epoch draws clip 0 again instead of clip 6: the draw 7.
  private let drawsTwice: Bool

  init(drawsTwice: Bool = false) throws {
    self.drawsTwice = drawsTwice
    folder = try TemporaryFolder()
    let journal = try Journal(folder.path("run.db"), .create)
    let clips = (0..<7).map { ClipRecord(clip: $0, id: "c\($0)", path: "c\($0).mp4", label: "a", bytes: 9, hash: "h") }
    try journal.beginRun(
      RunRecord(
        name: "test", seed: 1, recipeDigest: "r", indexDigest: "i", fingerprint: "f", clips: 7, stepsPerEpoch: 3,
        epochs: 2, createdAt: time), clips: clips, rejected: [])
    for (rank, life) in [(0, "a"), (1, "b")] {
      try journal.memberJoined(
        MemberRecord(rank: rank, incarnation: life, host: "h", pid: 1, threads: 1, joinedAt: time))
    }
    try record(journal, generation: 1, from: 0)
    try journal.recordCommits((0..<4).map { commit($0, generation: 1) })
    // Steps 2 and 3 are computed again, by a generation with a replaced worker.
    try journal.rollBack(to: 2, reason: "test", at: time)
    try journal.memberLeft(rank: 1, incarnation: "b", reason: "killed", at: time + 10)
    try journal.memberJoined(
      MemberRecord(rank: 1, incarnation: "c", host: "h", pid: 2, threads: 1, joinedAt: time + 11))
    try record(journal, generation: 3, from: 2)
    try journal.record(VerdictRecord(step: 4, clip: 4, epoch: 1, lane: 0, reason: "broken", decidedAt: time))
    try journal.recordCommits((2..<6).map { commit($0, generation: 3) })
    try journal.record(CheckpointRecord(step: 6, path: "p", manifestSha256: "m", bytes: 7, createdAt: time))
    try journal.close()
  }

  private func record(_ journal: Journal, generation: Int, from step: Int) throws {
    try journal.record(
      GenerationRecord(
        number: generation, startStep: step, reason: "", lanes: [0: [0], 1: [1]], ring: [0, 1], createdAt: time))
  }

  private func commit(_ step: Int, generation: Int) -> JournalCommit {
    let first = 3 * (step % 3)
    let consumed = (first..<min(first + 3, 7)).filter { step != 4 || $0 != 4 }.map {
      ConsumedClip(lane: 0, clip: drawsTwice && step == 2 && $0 == 6 ? 7 : $0)
    }
    return JournalCommit(
      step: StepRecord(
        step: step, epoch: step / 3, generation: generation, attempt: 0, digest: "d\(step)", weightsDigest: "w\(step)",
        // The first steps are those of an older version, which kept no such digest.
        stateDigest: step < 2 ? "" : "w\(step + 1)", loss: 1.5 / Double(step + 1), top1: 1, top5: 1,
        clips: consumed.count, learningRate: 0.1, gradientBits: 10, rawBytes: 1, wireBytes: 1, ringSeconds: 0,
        computeSeconds: 1, decodeWaitSeconds: 0, reporter: 0, committedAt: time), consumed: consumed)
  }

  /// - Parameter rechained: whether the chain is made to fit afterwards, so that something else must notice.
  func problems(after statements: [String], rechained: Bool, balanced: Bool = false) throws -> [String] {
    let queue = try DatabaseQueue(path: folder.path("run.db"))
    try queue.write { database in
      for statement in statements { try database.execute(sql: statement) }
      guard rechained else { return }
      var chain = ""
      for row in try Row.fetchAll(database, sql: "SELECT * FROM steps ORDER BY id") {
        chain = try StepRecord(row: row).chain(after: chain)
        try database.execute(sql: "UPDATE steps SET chain = ? WHERE id = ?", arguments: [chain, row["id"] as Int])
      }
    }
    try queue.close()
    var recipe = Recipe()
    recipe.data.balanced = balanced
    return try JournalAudit(folder.path("."), recipe: recipe).problems
  }
}

@Suite struct JournalAuditTests {
  @Test("a sound journal passes, with rollbacks, verdicts, replaced workers and rows of older versions in it")
  func sound() throws {
    let run = try AuditedRun()
    var snapshots = 0
    var clips: [String] = []
    let audit = try JournalAudit(
      run.folder.path(""), atSnapshot: { snapshots += 1 }, eachClip: { clips.append($0.id) })
    #expect(audit.problems == [])
    #expect(audit.isReadable && snapshots == 1)
    #expect(audit.steps == 6 && audit.wholeEpochs == 2)
    #expect(audit.generations == 2 && audit.checkpoints.count == 1)
    #expect(clips == (0..<7).map { "c\($0)" })
  }

  @Test("with multigrid training, the epochs of steps and their clips are those of the recipe's plan")
  func multigrid() throws {
    var recipe = Recipe()
    // Its first epoch would be one step of all 7 clips, its second one three steps.
    (recipe.schedule.multigrid, recipe.schedule.epochs) = (.long, 2)
    (recipe.batch.lanes, recipe.batch.clipsPerLane) = (1, 3)
    let run = try AuditedRun()
    let found = try JournalAudit(run.folder.path("."), recipe: recipe).problems
    for problem in [
      "steps 1 to 5 cannot be in epoch 0", "step 5 is beyond the run's last",
      "epoch 0, step 0: 3 clips and 0 left out, expected 7",
    ] { #expect(found.contains { $0.contains(problem) }, "\(found)") }
    recipe.batch.clipsPerLane = 1
    let other = try JournalAudit(run.folder.path("."), recipe: recipe).problems
    #expect(other.contains { $0.contains("has 3 steps for an epoch of full clips, but recipe.yaml gives 7") })
  }

  @Test("a balanced run may draw a clip again, after its first draw; another may not")
  func balanced() throws {
    let run = try AuditedRun(drawsTwice: true)
    #expect(try run.problems(after: [], rechained: false, balanced: true) == [])
    #expect(
      try run.problems(after: [], rechained: false).contains {
        $0.contains("epoch 0: clip 7 consumed, but not of the index")
      })
    let early = try run.problems(
      after: ["UPDATE consumed SET clip = 8 WHERE epoch = 0 AND clip = 7", "DELETE FROM consumed WHERE clip = 1"],
      rechained: true, balanced: true)
    #expect(early.contains { $0.contains("epoch 0: draw 8 without the occurrence before") }, "\(early)")
    #expect(early.contains { $0.contains("epoch 0 is over with 6 draws, expected 7") }, "\(early)")
  }

  @Test(
    "what the chain covers cannot be changed unnoticed",
    arguments: [
      ("UPDATE steps SET loss = 0.5 WHERE step = 1", "the row of step 1 (id 2) is not the one that was written"),
      ("UPDATE steps SET state_digest = 'x' WHERE id = 5", "the row of step 2 (id 5) is not the one"),
      ("UPDATE steps SET learning_rate = 0.2 WHERE id = 3", "the row of step 2 (id 3) is not the one"),
      ("DELETE FROM steps WHERE id = 4", "the row of step 2 (id 5) is not the one"),
    ])
  func chain(statement: String, problem: String) throws {
    let found = try AuditedRun().problems(after: [statement], rechained: false)
    #expect(found.contains { $0.contains(problem) }, "\(found)")
  }

  private static func revision(_ seq: Int, from step: Int, _ old: String, _ new: String) -> String {
    "INSERT INTO revisions VALUES (\(seq), \(step), 'schedule.epochs', '\(old)', '\(new)', '')"
  }

  @Test("learning rates are worked out from recipe and revisions, by each kind of schedule")
  func rates() throws {
    let run = try AuditedRun()
    func problems(_ rates: [Double], _ losses: [Double]? = nil, _ change: (inout Recipe) -> Void) throws -> [String] {
      var statements = rates.enumerated().map {
        "UPDATE steps SET learning_rate = \(Double(Float($0.element))) WHERE step = \($0.offset)"
      }
      statements += (losses ?? []).enumerated().map {
        "UPDATE steps SET loss = \($0.element) WHERE step = \($0.offset)"
      }
      #expect(try run.problems(after: statements, rechained: true) == [])
      var recipe = Recipe()
      (recipe.optimizer.learningRate, recipe.schedule.epochs, recipe.schedule.gamma) = (0.4, 2, 0.5)
      change(&recipe)
      return try JournalAudit(run.folder.path("")).rateProblems(recipe)
    }
    let half = Array(repeating: 0.4, count: 3) + Array(repeating: 0.2, count: 3)
    #expect(try problems(half) { _ in } == [])
    let wrong = try problems([0.4, 0.4, 0.3, 0.2, 0.2, 0.1]) { _ in }
    try #require(wrong.count == 1)
    #expect(
      wrong[0].contains(
        "run.db: step 2 has the learning rate 0.3, but recipe.yaml and the revisions give 0.4, and 1 more steps differ;"
      ))
    #expect(try problems([0.1, 0.2, 0.3, 0.2, 0.2, 0.2]) { $0.schedule.warmupEpochs = 4 / 3.0 } == [])
    #expect(
      try problems(half) {
        $0.schedule.kind = .step
        $0.schedule.stepEpochs = 1
      } == [])
    #expect(
      try problems(half) {
        $0.schedule.kind = .multiStep
        $0.schedule.milestones = [1]
      } == [])
    // The clips of epoch 0 are 3, 3 and 1.
    func plateau(_ recipe: inout Recipe) {
      recipe.schedule.kind = .plateau
      recipe.schedule.patience = 0
    }
    let constant = Array(repeating: 0.4, count: 6)
    #expect(try problems(constant, [2, 2, 2, 1, 1, 1], plateau) == [])
    #expect(try problems(half, [2, 2, 2, 1, 1, 1], plateau).count == 1)
    // From step 2 on 4 epochs, where a cosine of 2 had 4 steps left.
    _ = try run.problems(after: [Self.revision(1, from: 2, "2", "4")], rechained: false)
    let revised = [0.4, 0.4, 0.4] + Array(repeating: 0.2 * (1 + cos(Double.pi / 10)), count: 3)
    #expect(try problems(revised) { _ in } == [])
    #expect(try problems(half) { _ in }.count == 1)
  }

  @Test("the rate of a plateau that follows the validations is worked out from their rows, of live states only")
  func validatedRates() throws {
    let run = try AuditedRun()
    // As if an epoch had one step. The second result is a better one by its loss, the fourth and the fifth are not.
    let results = [(2, 5, 90), (3, 5, 80), (4, 5, 70), (5, 4, 60)]
    var statements = results.map { step, top1, loss in
      "INSERT INTO evaluations (step, clips, top1, top5, at, state_digest, loss_sum) "
        + "VALUES (\(step), 9, \(top1), 9, '', 'w\(step)', \(loss))"
    }
    // Of a state that was rolled back, and a second one of a state.
    for other in ["'x', 1", "'w4', 99"] {
      statements.append(
        "INSERT INTO evaluations (step, clips, top1, top5, at, state_digest, loss_sum) VALUES (4, 9, 1, 9, '', \(other))"
      )
    }
    statements.append("UPDATE runs SET steps_per_epoch = 3")
    let rates = [0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    for (step, rate) in rates.enumerated() {
      statements.append("UPDATE steps SET learning_rate = \(Double(Float(rate))) WHERE step = \(step)")
    }
    #expect(try run.problems(after: statements, rechained: true) == [])
    var recipe = Recipe()
    (recipe.optimizer.learningRate, recipe.schedule.epochs, recipe.schedule.gamma) = (0.4, 2, 0.5)
    (recipe.schedule.kind, recipe.schedule.plateauOn, recipe.schedule.patience) = (.plateau, .validation, 0)
    // Only the result before step 3 is one of an epoch's end.
    #expect(try JournalAudit(run.folder.path("")).rateProblems(recipe) == [])
    let audit = try JournalAudit(run.folder.path(""))
    #expect(audit.validations.map(\.step) == [3, 4, 5] && audit.validations.map(\.top1) == [5, 5, 4])
    // As if an epoch had two steps: the result before step 4 is the only one until the end, so no rate follows from
    // another. With the mean average precision the second is worse by it, although its loss is lower.
    let half = rates.prefix(4) + [0.2, 0.2]
    for (precisions, expected) in [((5, 5), rates), ((6, 5), Array(half))] {
      var changes = ["UPDATE runs SET steps_per_epoch = 1, epochs = 6"]
      changes.append("UPDATE evaluations SET mean_precision = \(precisions.0) WHERE step = 3")
      changes.append("UPDATE evaluations SET mean_precision = \(precisions.1), top1 = 9 WHERE step = 4")
      changes.append("DELETE FROM evaluations WHERE step = 5")
      for (step, rate) in expected.enumerated() {
        changes.append("UPDATE steps SET learning_rate = \(Double(Float(rate))), epoch = \(step) WHERE step = \(step)")
      }
      _ = try run.problems(after: changes, rechained: true)
      #expect(try JournalAudit(run.folder.path("")).rateProblems(recipe) == [])
    }
    #expect(
      try run.problems(after: ["UPDATE evaluations SET mean_precision = 4294967297 WHERE step = 3"], rechained: true)
        .contains { $0.contains("evaluations.mean_precision are not whole numbers from 0 to 4294967296") })
  }

  @Test(
    "with a chain that fits, each check of its own finds what it is for",
    arguments: [
      (["DELETE FROM steps WHERE id = 7"], "step 4 missing before step 5"),
      (
        ["DELETE FROM steps WHERE id = 5", "UPDATE steps SET rolled_back = 0 WHERE id = 3"],
        "step 2: written for generation 1"
      ),
      (["UPDATE steps SET rolled_back = 1 WHERE id = 6"], "step 3 is marked as rolled back, but was not computed"),
      (
        ["DROP INDEX live_steps", "UPDATE steps SET rolled_back = 0 WHERE id = 4"],
        "step 2 was written again (id 5), but a row before it is not marked"
      ),
      (["UPDATE steps SET state_digest = 'x' WHERE id = 6"], "step 4 did not start from the state that step 3 led to"),
      (["UPDATE steps SET weights_digest = 'x' WHERE id = 6"], "step 3 did not start from the state that step 2 led"),
      (["UPDATE steps SET epoch = 1 WHERE id = 5"], "step 2 cannot be in epoch 1"),
      (["UPDATE steps SET generation = 1 WHERE id >= 7"], "steps 4 to 5: written for generation 1, but"),
      (
        ["DELETE FROM generations WHERE number = 1"],
        "steps 0 to 1: written for generation 1, but the generations' first"
      ),
      (["UPDATE generations SET start_step = 4 WHERE number = 3"], "steps 2 to 3: written for generation 3"),
      (["UPDATE generations SET start_step = 99 WHERE number = 3"], "generation 3 cannot begin at step 99"),
      (["UPDATE members SET left_at = NULL"], "rank 1 was two workers at once: b and c"),
      (
        ["UPDATE members SET left_at = '2040-01-01' WHERE incarnation = 'b'"], "rank 1 was two workers at once: b and c"
      ),
      (["UPDATE runs SET epochs = 1"], "step 5 is beyond the run's last"),
      (
        ["UPDATE runs SET steps_per_epoch = 0"],
        "1 values of runs.steps_per_epoch are not whole numbers from 1 to 2147483647"
      ),
      (["DELETE FROM clips WHERE clip = 6"], "its 6 clips are not the 7 of the run"),
      (["UPDATE clips SET id = 'c0' WHERE clip = 3"], "clip 3 has not an id after that of the clip before"),
      (["DELETE FROM consumed WHERE epoch = 0 AND clip = 1"], "epoch 0 is over without clip 1"),
      (["DELETE FROM consumed WHERE epoch = 0 AND clip = 1"], "epoch 0, step 0: the clips consumed are not those"),
      (["UPDATE consumed SET lane = 7 WHERE epoch = 0 AND clip = 1"], "epoch 0, step 0: the clips consumed are not"),
      (["UPDATE consumed SET clip = 9 WHERE epoch = 0 AND clip = 1"], "epoch 0: clip 9 consumed, but not of the index"),
      (["INSERT INTO consumed VALUES (1, 4, 9, 0)"], "epoch 1: clips of step 9 were consumed, which is not committed"),
      (["INSERT INTO consumed VALUES (2, 4, 6, 0)"], "epoch 2: clips of step 6 were consumed, which is not committed"),
      (
        [
          "CREATE TABLE copy AS SELECT * FROM consumed", "DROP TABLE consumed", "ALTER TABLE copy RENAME TO consumed",
          "INSERT INTO consumed VALUES (1, 2, 5, 0)",
        ], "epoch 1: clip 2 consumed more than once"
      ),
      (["UPDATE steps SET clips = 2 WHERE id = 1"], "epoch 0, step 0: 2 clips and 0 left out, expected 3"),
      (["DELETE FROM verdicts"], "epoch 1 is over without clip 4"),
      (["DELETE FROM verdicts"], "epoch 1, step 4: 2 clips and 0 left out, expected 3"),
      (["INSERT INTO verdicts VALUES (1, 3, 0, 0, '', '')"], "epoch 0: clip 3 consumed, but left out by a verdict"),
      (["INSERT INTO verdicts VALUES (1, 3, 0, 0, '', '')"], "epoch 0, step 1: 3 clips and 1 left out, expected 3"),
      (["UPDATE verdicts SET epoch = 0"], "the verdict about clip 4 in step 4 of epoch 0 is about no step or clip"),
      (
        ["INSERT INTO verdicts VALUES (6, 0, 2, 0, '', '')"],
        "the verdict about clip 0 in step 6 of epoch 2 is about no"
      ),
      (["UPDATE checkpoints SET step = 7"], "the checkpoint of step 7 is ahead of its 6 steps"),
      (
        ["UPDATE steps SET top1 = 'many' WHERE id = 2"],
        "1 values of steps.top1 are not whole numbers from 0 to 2147483647"
      ),
      (["ALTER TABLE consumed DROP COLUMN lane"], "the column consumed.lane is missing"),
      (["DROP TABLE verdicts"], "the table verdicts is missing"),
      (["DROP TABLE revisions"], "the table revisions is missing"),
      ([Self.revision(1, from: 3, "3", "9")], "revision 1 (3 -> 9 epochs from step 3) does not follow from the run"),
      ([Self.revision(1, from: 7, "2", "9")], "revision 1 (2 -> 9 epochs from step 7) does not follow from the run"),
      ([Self.revision(1, from: 3, "2", "many")], "revision 1 (2 -> many epochs from step 3) does not follow"),
      (
        [Self.revision(1, from: 3, "2", "9"), Self.revision(2, from: 2, "9", "12")],
        "revision 2 (9 -> 12 epochs from step 2) does not follow from the run"
      ),
      ([Self.revision(1, from: 3, "2", "1")], "step 5 is beyond the run's last"),
    ])
  func damage(statements: [String], problem: String) throws {
    let readable = !["many", "DROP COLUMN", "DROP TABLE verdicts", "DROP TABLE revisions"].contains {
      statements[0].contains($0)
    }
    let found = try AuditedRun().problems(after: statements, rechained: readable)
    #expect(found.contains { $0.contains("run.db: ") && $0.contains(problem) }, "\(found)")
    #expect(found.allSatisfy { !$0.contains("is not the one that was written") }, "\(found)")
  }

  @Test("a worker that came back shares its rank's time with the one that stood in for it")
  func cameBack() throws {
    let run = try AuditedRun()
    let journal = try Journal(run.folder.path("run.db"), .resume)
    try journal.memberLeft(rank: 1, incarnation: "c", reason: "killed", at: time + 20)
    try journal.memberJoined(
      MemberRecord(rank: 1, incarnation: "b", host: "h", pid: 1, threads: 1, joinedAt: time + 21))
    #expect(try JournalAudit(run.folder.path("")).problems.count == 1)
    try journal.record(EventRecord(at: time, level: .info, source: "coordinator", text: "worker 1 is back"))
    #expect(try JournalAudit(run.folder.path("")).problems == [])
  }

  @Test("bytes that are no database are a problem; a folder without a run, and an empty journal, are no run")
  func noRun() throws {
    let folder = try TemporaryFolder()
    #expect(throws: JournalError.self) { try JournalAudit(folder.path("")) }
    try Journal(folder.path("run.db"), .create).close()
    let empty = #expect(throws: JournalError.self) { try JournalAudit(folder.path("")) }
    #expect(empty?.status == .badData)
    try folder.write(String(repeating: "no database ", count: 999), to: "run.db")
    let audit = try JournalAudit(folder.path(""))
    #expect(!audit.isReadable && audit.problems.count == 1)
  }
}
