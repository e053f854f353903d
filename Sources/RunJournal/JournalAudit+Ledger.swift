// Audits the ledger: each clip is consumed once an epoch, unless it is excluded from a step.
import Foundation
import GRDB
import Shared

extension JournalAudit {
  mutating func auditClips(_ database: Database, _ eachClip: (Clip) throws -> Void) throws {
    let rows = try Row.fetchCursor(database, sql: "SELECT clip, id, path, bytes, hash FROM clips ORDER BY clip")
    var count = 0
    var areNumbered = true
    var before: String?
    while let row = try rows.next() {
      let clip = Clip(id: row["id"], path: row["path"], bytes: row["bytes"], hash: row["hash"])
      let number: Int = row["clip"]
      areNumbered = areNumbered && number == count
      if let before, !before.utf8.lexicographicallyPrecedes(clip.id.utf8) {
        report("clip \(number) has not an id after that of the clip before")
      }
      try eachClip(clip)
      before = clip.id
      count += 1
    }
    if !areNumbered || count != clipCount {
      report("its \(count) clips are not the \(clipCount) of the run, numbered from 0")
    }
  }

  mutating func auditLedger(_ database: Database) throws {
    let leftOut = try auditVerdicts(database)
    let full = clipsOfFullStep(leftOut)
    let epochs = Dictionary(grouping: live, by: \.epoch)
    let past = try Int.fetchSet(database, sql: "SELECT DISTINCT epoch FROM consumed")
    for epoch in past.union(epochs.keys).sorted() {
      try auditEpoch(epoch, epochs[epoch] ?? [], leftOut, clipsOfFullStep: full, database)
    }
  }

  /// The excluded clips, by step.
  private mutating func auditVerdicts(_ database: Database) throws -> [Int: Set<Int>] {
    var leftOut: [Int: Set<Int>] = [:]
    for row in try Row.fetchAll(database, sql: "SELECT step, clip, epoch FROM verdicts ORDER BY step, clip") {
      let (step, clip, epoch): (Int, Int, Int) = (row["step"], row["clip"], row["epoch"])
      leftOut[step, default: []].insert(clip)
      if !(0...lastStep).contains(step) || epoch != plan.epoch(of: step) || !isOfIndex(clip) {
        report(
          "the verdict about clip \(clip) in step \(step) of epoch \(epoch) is about no step or clip of the run")
      }
    }
    return leftOut
  }

  /// Whether the index has the clip, or a balanced run may draw it.
  private func isOfIndex(_ clip: Int) -> Bool { clip >= 0 && (isBalanced || clip < clipCount) }

  /// The clip count of most steps that do not end an epoch: of a plan that the recipe does not give.
  private func clipsOfFullStep(_ leftOut: [Int: Set<Int>]) -> Int {
    var counts: [Int: Int] = [:]
    for row in live where !plan.endsEpoch(row.step) {
      counts[row.clips &+ (leftOut[row.step]?.count ?? 0), default: 0] += 1
    }
    return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? clipCount
  }

  /// How many clips a step takes, the excluded ones among them.
  private func clips(inStep step: Int, full: Int) -> Int {
    guard plan.isUniform else { return plan.clips(inStep: step) }
    return plan.endsEpoch(step) ? clipCount &- full &* (plan.lastStepsPerEpoch - 1) : full
  }

  private mutating func auditEpoch(
    _ epoch: Int, _ rows: [Step], _ leftOut: [Int: Set<Int>], clipsOfFullStep full: Int, _ database: Database
  ) throws {
    var consumed: [Int: [(lane: Int, clip: Int)]] = [:]
    var times: [Int: Int] = [:]
    let entries = try Row.fetchCursor(
      database, sql: "SELECT step, lane, clip FROM consumed WHERE epoch = ? ORDER BY step, lane, clip",
      arguments: [epoch])
    while let entry = try entries.next() {
      let (step, lane, clip): (Int, Int, Int) = (entry[0], entry[1], entry[2])
      consumed[step, default: []].append((lane, clip))
      times[clip, default: 0] += 1
    }
    for row in rows {
      let entries = consumed.removeValue(forKey: row.step) ?? []
      let out = leftOut[row.step]?.count ?? 0
      let text = entries.map { "\($0.lane):\($0.clip)" }.joined(separator: ",")
      if sha256Hex(Data(text.utf8)) != row.clipsDigest || entries.count != row.clips {
        report("epoch \(epoch), step \(row.step): the clips consumed are not those that were recorded")
      }
      if let pairs = row.pairs, pairs != ClipPairs.digest(step: row.step, entries).description {
        report(
          "epoch \(epoch), step \(row.step): the clips consumed are not those that the ranks trained",
          "go back to a checkpoint before it and check the hosts' memory")
      }
      let expected = clips(inStep: row.step, full: full)
      if row.clips == 0 { report("epoch \(epoch), step \(row.step): was trained without any clip") }
      if row.clips &+ out != expected {
        report("epoch \(epoch), step \(row.step): \(row.clips) clips and \(out) left out, expected \(expected)")
      }
    }
    for step in consumed.keys.sorted() {
      report("epoch \(epoch): clips of step \(step) were consumed, which is not committed")
    }
    auditClips(ofEpoch: epoch, times, isOver: rows.count == plan.steps(inEpoch: epoch), leftOut)
  }

  /// - Parameter times: how often each clip was consumed.
  private mutating func auditClips(
    ofEpoch epoch: Int, _ times: [Int: Int], isOver: Bool, _ leftOut: [Int: Set<Int>]
  ) {
    let out = leftOut.reduce(into: Set<Int>()) { if plan.epoch(of: $1.key) == epoch { $0.formUnion($1.value) } }
    let twice = times.filter { $0.value > 1 }.keys
    if !twice.isEmpty { report("epoch \(epoch): \(named(twice, "clip")) consumed more than once") }
    let strange = times.keys.filter { !isOfIndex($0) }
    if !strange.isEmpty { report("epoch \(epoch): \(named(strange, "clip")) consumed, but not of the index") }
    let both = times.keys.filter(out.contains)
    if !both.isEmpty { report("epoch \(epoch): \(named(both, "clip")) consumed, but left out by a verdict") }
    guard isOver else { return }
    wholeEpochs += 1
    if isBalanced { return auditDraws(ofEpoch: epoch, out.union(times.keys)) }
    let missing = (0..<clipCount).filter { times[$0] == nil && !out.contains($0) }
    if !missing.isEmpty { report("epoch \(epoch) is over without \(named(missing, "clip"))") }
  }

  /// A balanced epoch has as many draws as the index has clips, and no later occurrence of a clip without the earlier.
  private mutating func auditDraws(ofEpoch epoch: Int, _ draws: Set<Int>) {
    if draws.count != clipCount { report("epoch \(epoch) is over with \(draws.count) draws, expected \(clipCount)") }
    let early = draws.filter { $0 >= clipCount && !draws.contains($0 - clipCount) }
    if !early.isEmpty { report("epoch \(epoch): \(named(early, "draw")) without the occurrence before") }
  }
}
