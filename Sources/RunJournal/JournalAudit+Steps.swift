// Audits steps, generations, members and checkpoints: the invariants between rows.
import Foundation
import GRDB
import Shared

extension JournalAudit {
  private static let chained = [
    "step", "epoch", "generation", "attempt", "digest", "weights_digest", "loss", "top1", "top5", "clips",
    "learning_rate", "gradient_bits", "clips_digest", "state_digest", "pairs_digest",
  ]

  /// The rows in the order in which they were written have no gap, one live row a step, and an intact chain.
  mutating func auditSteps(_ database: Database) throws {
    var chain = ""
    var inForce: [Step] = []
    let rows = try Row.fetchCursor(database, sql: "SELECT * FROM steps ORDER BY id")
    while let row = try rows.next() {
      let step = Step(
        step: row["step"], epoch: row["epoch"], generation: row["generation"], weights: row["weights_digest"],
        state: row["state_digest"], clips: row["clips"], clipsDigest: row["clips_digest"], pairs: row["pairs_digest"],
        loss: row["loss"] ?? .nan, learningRate: row["learning_rate"] ?? .nan, rolledBack: row["rolled_back"])
      let id: Int = row["id"]
      let columns = Self.chained.filter {
        $0 == "state_digest" ? !step.state.isEmpty : $0 == "pairs_digest" ? step.pairs != nil : true
      }.map { Self.text(row[$0]) }
      let written: String = row["chain"]
      if written != sha256Hex(Data("\(chain)\n\(columns.joined(separator: "|"))".utf8)) {
        report("the row of step \(step.step) (id \(id)) is not the one that was written")
      }
      chain = written
      while let last = inForce.last, last.step >= step.step {
        inForce.removeLast()
        if !last.rolledBack {
          report(
            "step \(step.step) was written again (id \(id)), but a row before it is not marked as rolled back")
        }
      }
      let expected = inForce.last.map { $0.step &+ 1 } ?? 0
      if step.step > expected {
        report("\(span(expected, step.step - 1)) missing before step \(step.step)")
      } else if step.step < expected {
        report("there can be no step \(step.step)")
      }
      inForce.append(step)
    }
    live = inForce.filter { !$0.rolledBack }
    auditLive(inForce)
  }

  /// How the chain writes a value: numbers with a fraction as the 16 hexadecimal digits of their IEEE 754 bits.
  private static func text(_ value: DatabaseValue) -> String {
    switch value.storage {
    case .null, .blob: return ""
    case .int64(let number): return String(number)
    case .string(let text): return text
    case .double(let number):
      let digits = String(number.bitPattern, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
  }

  private mutating func auditLive(_ inForce: [Step]) {
    let last = live.last?.step ?? -1
    for row in inForce where row.rolledBack && row.step < last {
      report("step \(row.step) is marked as rolled back, but was not computed again")
    }
    let astray = live.filter { $0.epoch != plan.epoch(of: $0.step) }
    if let first = astray.first, let end = astray.last {
      report("\(span(first.step, end.step)) cannot be in epoch \(first.epoch)")
    }
    if last > lastStep { report("step \(last) is beyond the run's last") }
    for (row, next) in zip(live, live.dropFirst()) where !row.state.isEmpty && row.step &+ 1 == next.step {
      if row.state != next.weights {
        report(
          "step \(next.step) did not start from the state that step \(row.step) led to",
          "go back to a checkpoint before it and check the hosts' memory")
      }
    }
  }

  /// A live step belongs to the newest of the generations that begin at it or before it.
  mutating func auditGenerations(_ database: Database) throws {
    struct Mismatch: Hashable {
      var number: Int
      var fitting: Int?
    }
    let rows = try Row.fetchAll(database, sql: "SELECT number, start_step FROM generations ORDER BY number")
    generations = rows.count
    let starts = rows.map { (number: $0["number"] as Int, start: $0["start_step"] as Int) }
    var wrong: [Mismatch: (first: Int, last: Int)] = [:]
    for row in live {
      let fitting = starts.last { $0.start <= row.step }?.number
      guard row.generation != fitting else { continue }
      wrong[Mismatch(number: row.generation, fitting: fitting), default: (row.step, row.step)].last = row.step
    }
    for (mismatch, steps) in wrong.sorted(by: { $0.value.first < $1.value.first }) {
      let which = mismatch.fitting.map { "generation \($0)" } ?? "none"
      report(
        "\(span(steps.first, steps.last)): written for generation \(mismatch.number), but the generations' first "
          + "steps say \(which)")
    }
    for (number, start) in starts where number < 1 || start < 0 || start > lastStep + 1 {
      report("generation \(number) cannot begin at step \(start)")
    }
  }

  /// A rank has one worker at a time. A worker that came back keeps its row, so others' stays may lie inside it.
  mutating func auditMembers(_ database: Database) throws {
    struct Stay {
      var rank: Int
      var incarnation: String
      var joined: String
      var left: String?
    }
    let stays = try Row.fetchAll(
      database, sql: "SELECT rank, incarnation, joined_at, left_at FROM members ORDER BY rank, joined_at, incarnation"
    ).map { Stay(rank: $0["rank"], incarnation: $0["incarnation"], joined: $0["joined_at"], left: $0["left_at"]) }
    for (number, stay) in stays.enumerated() {
      if let left = stay.left, left < stay.joined {
        report("worker \(stay.rank) (\(stay.incarnation)) left before it joined", "check the clock")
      }
      let others = stays[(number + 1)...].prefix { $0.rank == stay.rank }
      guard !others.isEmpty else { continue }
      let cameBack =
        try Int.fetchOne(
          database, sql: "SELECT 1 FROM events WHERE text LIKE ? LIMIT 1", arguments: ["worker \(stay.rank) is back%"])
        != nil
      for other in others {
        let areBothHere = stay.left == nil && other.left == nil
        let overlap = stay.left.map { $0 > other.joined } ?? true
        guard areBothHere || (!cameBack && overlap) else { continue }
        report(
          "rank \(stay.rank) was two workers at once: \(stay.incarnation) and \(other.incarnation)",
          "look for a worker that was started twice")
      }
    }
  }

  mutating func auditCheckpoints(_ database: Database) throws {
    for row in try Row.fetchAll(database, sql: "SELECT * FROM checkpoints ORDER BY id") {
      let reason: String? = row["reason"]
      let removed: String? = row["removed_at"]
      let checkpoint = Checkpoint(
        step: row["step"], manifestSha256: row["manifest_sha256"], bytes: row["bytes"], isLive: removed == nil,
        wasRolledBack: reason?.hasPrefix("rolled back") ?? false)
      checkpoints[checkpoint.step] = checkpoint
    }
    for step in checkpoints.values.filter(\.isLive).map(\.step).sorted() where step > live.count {
      report("the checkpoint of step \(step) is ahead of its \(live.count) steps")
    }
  }
}
