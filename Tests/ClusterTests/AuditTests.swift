// Both audits of real runs: `ok` where nothing is wrong, and the same words about each damage that was really done.
import Foundation
import GRDB
import Shared
import TestSupport
import Testing

/// What is done to a run directory, and what both audits must say about it.
private struct Damage {
  var statements: [String] = []
  /// Whether the chain is made to fit afterwards, so that something else must notice.
  var rechained = false
  var files: (String) throws -> Void = { _ in }
  var problem: String
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct AuditTests {
  @Test("both audits find a whole run ok, and each of 22 kinds of damage to a copy of it")
  func damaged() throws {
    let cluster = try LocalCluster()
    // Where training ends, there is a checkpoint; of those before, a newer one may take the place.
    for steps in ["10", "22"] {
      let trained = try cluster.train("run", hosts: "localhost slots=2", ["--steps", steps])
      #expect(trained.status == 0, "\(trained.output)")
    }
    let names = try cluster.checkpoints("run")
    let older = try #require(names.first)
    #expect(names == [older, "step-00000022"])
    for audit in try cluster.audits("run") {
      #expect(audit.status == 0)
      #expect(audit.output == "ok: 22 steps, 4 epochs whole, 2 checkpoints, 2 generations\n")
    }
    for (number, damage) in damages(olderCheckpoint: older).enumerated() {
      let name = "copy\(number)"
      try FileManager.default.copyItem(atPath: cluster.folder.path("run"), toPath: cluster.folder.path(name))
      try execute(damage.statements, rechained: damage.rechained, cluster.folder.path("\(name)/run.db"))
      try damage.files(cluster.folder.path(name))
      let audits = try cluster.audits(name)
      let words = audits.map { $0.output.split(separator: "\n").map { $0.split(separator: " ").dropFirst() } }
      #expect(audits.map(\.status) == [1, 1], "\(damage.problem)")
      #expect(audits.allSatisfy { $0.output.contains(damage.problem) }, "\(damage.problem): \(audits)")
      #expect(words[0] == words[1], "\(audits)")
      if damage.rechained { #expect(!audits[0].output.contains("is not the one that was written")) }
      try FileManager.default.removeItem(atPath: cluster.folder.path(name))
    }
  }

  private func damages(olderCheckpoint older: String) -> [Damage] {
    let model = "checkpoints/\(older)/model.safetensors"
    return [
      Damage(statements: ["DELETE FROM steps WHERE step = 9"], problem: "run.db: step 9 missing before step 10; "),
      Damage(statements: ["DELETE FROM steps WHERE step = 9"], rechained: true, problem: "step 9 missing"),
      Damage(statements: ["UPDATE steps SET loss = loss * 0.5 WHERE step = 3"], problem: "the row of step 3 (id 4) is"),
      Damage(
        statements: [
          "INSERT INTO steps SELECT 99, step, epoch, generation, attempt, digest, weights_digest, loss, top1, top5, "
            + "clips, learning_rate, gradient_bits, clips_digest, raw_bytes, wire_bytes, ring_seconds, "
            + "compute_seconds, decode_wait_seconds, reporter, committed_at, chain, duplicates, 1, state_digest, pairs_digest "
            + "FROM steps WHERE step = 21"
        ], problem: "step 21 was written again (id 99)"),
      Damage(
        statements: ["UPDATE consumed SET step = 2 WHERE epoch = 0 AND step = 1"],
        problem: "epoch 0, step 1: the clips consumed are not those that were recorded"),
      Damage(
        statements: [
          "CREATE TABLE copy AS SELECT * FROM consumed", "DROP TABLE consumed", "ALTER TABLE copy RENAME TO consumed",
          "INSERT INTO consumed SELECT epoch, clip, 7, lane FROM consumed WHERE epoch = 1 AND clip = 5",
        ], problem: "epoch 1: clip 5 consumed more than once"),
      Damage(
        statements: ["DELETE FROM consumed WHERE epoch = 2 AND clip = 5"], problem: "epoch 2 is over without clip 5"),
      Damage(
        statements: ["UPDATE steps SET state_digest = weights_digest WHERE step = 12"], rechained: true,
        problem: "step 13 did not start from the state that step 12 led to"),
      Damage(
        statements: [
          "INSERT INTO verdicts SELECT step, clip, epoch, lane, '', '' FROM consumed WHERE epoch = 1 LIMIT 1"
        ],
        problem: "epoch 1: clip 0 consumed, but left out by a verdict"),
      Damage(statements: ["DELETE FROM generations"], problem: "steps 0 to 9: written for generation 1, but"),
      Damage(
        statements: ["UPDATE clips SET hash = 'x' WHERE clip = 8"],
        problem: "index/train.tsv: clip 8 is not the journal's"),
      Damage(statements: ["UPDATE steps SET clips = 'x' WHERE step = 1"], problem: "1 values of steps.clips are not"),
      Damage(
        statements: ["UPDATE steps SET pairs_digest = '00000000000000000000000000000000' WHERE step = 4"],
        rechained: true,
        problem: "epoch 0, step 4: the clips consumed are not those that the ranks trained; "),
      Damage(
        statements: ["UPDATE generations SET number = 4294967296 WHERE number > 1"],
        problem: "1 values of generations.number are not whole numbers from 0 to 2147483647; "),
      Damage(
        statements: ["UPDATE runs SET epochs = -9223372036854775808"],
        problem: "1 values of runs.epochs are not whole numbers from 1 to 2147483647; "),
      Damage(
        files: { try Self.replaceState("\($0)", older) },
        problem: "checkpoints/\(older): its state is not the one that the journal has; "),
      Damage(statements: ["DELETE FROM checkpoints"], problem: "checkpoints/step-00000022: is not in the journal; "),
      Damage(files: { try Self.flip("\($0)/\(model)") }, problem: "\(model): its SHA-256 is not the manifest's; "),
      Damage(
        files: { try Self.flip("\($0)/checkpoints/step-00000022/MANIFEST.sha256") },
        problem: "checkpoints/step-00000022: its MANIFEST.sha256 is not the journal's; "),
      Damage(
        files: { try FileManager.default.removeItem(atPath: "\($0)/\(model)") }, problem: "\(model): cannot be read"),
      Damage(
        files: { try FileManager.default.removeItem(atPath: "\($0)/checkpoints/\(older)") },
        problem: "checkpoints/\(older): is missing, but the journal has it; "),
      Damage(
        files: { run in
          try FileManager.default.copyItem(
            atPath: "\(run)/checkpoints/\(older)", toPath: "\(run)/checkpoints/step-00000013")
        }, problem: "checkpoints/step-00000013: is not in the journal; "),
    ]
  }

  /// A whole checkpoint of another training takes the place of the run's, in the journal too.
  private static func replaceState(_ run: String, _ name: String) throws {
    let path = "\(run)/checkpoints/\(name)"
    try flip("\(path)/model.safetensors")
    let manifest = try ["model.safetensors", "trainer.safetensors"].map { name in
      "\(sha256Hex(try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))))  \(name)\n"
    }.joined()
    try Data(manifest.utf8).write(to: URL(fileURLWithPath: "\(path)/MANIFEST.sha256"))
    let queue = try DatabaseQueue(path: "\(run)/run.db")
    try queue.write {
      try $0.execute(
        sql: "UPDATE checkpoints SET manifest_sha256 = ? WHERE path LIKE ?",
        arguments: [sha256Hex(Data(manifest.utf8)), "%\(name)"])
    }
    try queue.close()
  }

  private static func flip(_ path: String) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  private func execute(_ statements: [String], rechained: Bool, _ path: String) throws {
    let queue = try DatabaseQueue(path: path)
    try queue.write { database in
      for statement in statements { try database.execute(sql: statement) }
      guard rechained else { return }
      var chain = ""
      let columns = """
        step, epoch, generation, attempt, digest, weights_digest, loss, top1, top5, clips, learning_rate,
        gradient_bits, clips_digest, state_digest, pairs_digest
        """
      for id in try Int.fetchAll(database, sql: "SELECT id FROM steps ORDER BY id") {
        let row = try #require(try Row.fetchOne(database, sql: "SELECT \(columns) FROM steps WHERE id = \(id)"))
        let text = row.databaseValues.map { value in
          if case .double(let number) = value.storage {
            let digits = String(number.bitPattern, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
          }
          return String.fromDatabaseValue(value) ?? Int64.fromDatabaseValue(value).map { String($0) } ?? ""
        }
        chain = sha256Hex(Data("\(chain)\n\(text.joined(separator: "|"))".utf8))
        try database.execute(sql: "UPDATE steps SET chain = ? WHERE id = ?", arguments: [chain, id])
      }
    }
    try queue.close()
  }

  @Test("both audits may look on while a run goes on, and find nothing wrong")
  func lookingOn() throws {
    let cluster = try LocalCluster()
    let process = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost slots=2"))
    for epoch in [2, 4, 6, 8, 10] {
      #expect(process.wait(for: "epoch \(epoch)/"))
      for audit in try cluster.audits("run") {
        #expect(audit.status == 0 && audit.output.hasPrefix("ok: "), "\(audit.output)")
      }
    }
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    for audit in try cluster.audits("run") { #expect(audit.output.hasPrefix("ok: 60 steps, 12 epochs whole, ")) }
  }

  @Test("what a killed coordinator did not write down about checkpoints is a problem until the run is resumed")
  func reconciled() throws {
    let cluster = try LocalCluster()
    for steps in ["5", "10"] {
      let trained = try cluster.train("run", hosts: "localhost", ["--steps", steps])
      #expect(trained.status == 0, "\(trained.output)")
    }
    let names = try cluster.checkpoints("run")
    // The two newest, and the best one if it is older.
    try #require(names.count >= 2)
    let older = names[names.count - 2]
    try FileManager.default.removeItem(atPath: cluster.folder.path("run/checkpoints/\(older)"))
    try execute(["DELETE FROM checkpoints WHERE step = 10"], rechained: false, cluster.folder.path("run/run.db"))
    for audit in try cluster.audits("run") {
      #expect(audit.status == 1)
      #expect(audit.output.contains("\(older): is missing") && audit.output.contains("step-00000010: is not in"))
    }
    let resumed = try cluster.train("run", hosts: "localhost", ["--steps", "12"])
    #expect(resumed.status == 0, "\(resumed.output)")
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
    let kept = "SELECT step FROM checkpoints WHERE removed_at IS NULL ORDER BY step"
    #expect(try cluster.query("run", kept, as: Int.self).suffix(2) == [10, 12])
  }

  @Test("a checkpoint whose state is not the journal's is left out when a run is resumed, and the next older is taken")
  func strangersState() throws {
    let cluster = try LocalCluster()
    for steps in ["5", "10"] {
      let trained = try cluster.train("run", hosts: "localhost", ["--steps", steps])
      #expect(trained.status == 0, "\(trained.output)")
    }
    try Self.replaceState(cluster.folder.path("run"), "step-00000010")
    let resumed = try cluster.train("run", hosts: "localhost", ["--steps", "12"])
    #expect(resumed.status == 0, "\(resumed.output)")
    #expect(resumed.output.contains("step-00000010 is left out: its state is not the one that the journal has"))
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
    let names = try FileManager.default.contentsOfDirectory(atPath: cluster.folder.path("run/checkpoints"))
    #expect(names.contains("rejected-step-00000010") && names.contains("step-00000012"))
  }

  @Test("a journal with a number that cannot be is refused by every command with one line, and no command traps")
  func impossibleNumbers() throws {
    let cluster = try LocalCluster(clips: 12)
    let trained = try cluster.train("run", hosts: "localhost", ["--steps", "3"])
    #expect(trained.status == 0, "\(trained.output)")
    for (number, statement) in [
      "update runs set steps_per_epoch=0", "update runs set steps_per_epoch=-9223372036854775808",
      "update runs set epochs=9223372036854775807", "update runs set epochs=-9223372036854775808",
      "update members set left_at=null, pid=2147483648", "update members set left_at=null, pid=4294967296",
      "update generations set number=-1", "update generations set number=9223372036854775807",
      "update generations set number=4294967296",
    ].enumerated() {
      let name = "copy\(number)"
      try FileManager.default.copyItem(atPath: cluster.folder.path("run"), toPath: cluster.folder.path(name))
      try execute([statement], rechained: false, cluster.folder.path("\(name)/run.db"))
      let status = try cluster.run(LocalCluster.program("coordinator"), ["status", cluster.folder.path(name)])
      let resumed = try cluster.train(name, hosts: "localhost", ["--steps", "4"])
      for finished in [status, resumed] {
        #expect(finished.status == 65, "\(statement): \(finished.output)")
        let lines = finished.output.split(separator: "\n").filter { $0.contains("are not whole numbers from") }
        #expect(lines.count == 1, "\(statement): \(finished.output)")
      }
      for audit in try cluster.audits(name) {
        #expect(audit.status == 1 && audit.output.split(separator: "\n").count == 1, "\(statement): \(audit.output)")
        #expect(audit.output.contains("are not whole numbers from"))
      }
    }
  }

  @Test("a folder without a run gets one line and exit code 65 from both")
  func noRun() throws {
    let cluster = try LocalCluster(clips: 6)
    for audit in try cluster.audits("data") {
      #expect(audit.status == 65)
      #expect(audit.output.hasSuffix("/data: holds no run: there is no run.db; give a run directory\n"))
      #expect(audit.output.split(separator: "\n").count == 1)
    }
    #expect(try cluster.run(LocalCluster.program("coordinator"), ["audit"]).status == 64)
  }
}
