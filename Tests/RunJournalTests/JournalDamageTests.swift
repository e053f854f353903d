// A journal whose bytes were changed: it is refused with advice, or it holds exactly what was written.
import Foundation
import GRDB
import Shared
import TestSupport
import Testing

@testable import DurableWriter
@testable import RunJournal

private let steps = 60

/// A whole journal of 15 epochs, closed, and what it holds.
private struct WrittenJournal {
  let folder: TemporaryFolder
  var path: String { folder.path("run.db") }
  let bytes: Data

  init() throws {
    folder = try TemporaryFolder()
    let journal = try SampleState.journal(folder.path("run.db"))
    for first in stride(from: 3, to: steps + 6, by: 3) {
      try journal.recordCommits((first..<first + 3).map(SampleState.commit))
    }
    // Rows of the past, which are no longer live, are in the chain too.
    try journal.rollBack(to: steps, reason: "test", at: SampleState.time)
    try journal.close()
    bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path("run.db")))
  }

  func put(_ data: Data, wal: Data? = nil) throws {
    for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
    try data.write(to: URL(fileURLWithPath: path))
    if let wal { try wal.write(to: URL(fileURLWithPath: path + "-wal")) }
  }
}

private enum Opened: Equatable {
  case refused(String)
  case right
  case wrong(String)
}

/// Opens, reads and audits. Any error but a `JournalError` with advice counts as wrong.
private func open(
  _ path: String, _ access: Journal.Access, steps expected: Range<Int>, _ further: (Journal) throws -> Void = { _ in }
) -> Opened {
  do {
    let journal = try Journal(path, access)
    defer { try? journal.close() }
    let live = try journal.commits(0..<1000)
    let known = (0..<live.count).map { SampleState.commit($0).step.chainText }
    guard live.map(\.chainText) == known, expected.contains(live.count), try journal.nextStep() == live.count,
      try journal.lastCommit()?.step == live.count - 1
    else { return .wrong("\(live.count) steps: \(live.map(\.chainText))") }
    _ = try journal.status()
    guard try journal.run()?.recipeDigest == SampleState.run.recipeDigest else { return .refused("another recipe") }
    let found = try JournalAudit(URL(fileURLWithPath: path).deletingLastPathComponent().path).problems
    guard found.isEmpty else { return .refused(found.joined()) }
    for epoch in 0..<live.count / 3 {
      guard try journal.consumedClips(epoch: epoch) == SampleState.clips else {
        return .wrong("epoch \(epoch)'s clips")
      }
    }
    try further(journal)
    return .right
  } catch let error as JournalError {
    let isClear =
      error.description.hasPrefix(path) && error.description.contains(";") && !error.description.contains("\n")
    return isClear ? .refused(error.description) : .wrong(error.description)
  } catch { return .wrong("an error of a foreign type: \(error)") }
}

@Suite struct JournalDamageTests {
  @Test("each of 300 flipped bits is noticed, or hit nothing that is used")
  func bitFlips() throws {
    let written = try WrittenJournal()
    for access in [Journal.Access.reading, .resume] {
      #expect(open(written.path, access, steps: steps..<steps + 1) == .right)
    }
    var random = Philox(seed: 11, .selfTest)
    var refused = 0
    for number in 0..<300 {
      let (position, bit) = (random.below(written.bytes.count), random.below(8))
      var flipped = written.bytes
      flipped[position] ^= 1 << bit
      try written.put(flipped)
      switch open(written.path, number % 3 == 0 ? .reading : .resume, steps: steps..<steps + 1) {
      case .right: break
      case .refused: refused += 1
      case .wrong(let what): Issue.record("byte \(position), bit \(bit): \(what)")
      }
    }
    // Half of the file is in use.
    #expect(refused > 50)
  }

  @Test("a journal cut at any of 20 lengths is refused")
  func truncation() throws {
    let written = try WrittenJournal()
    for cut in 0..<20 {
      let length = cut * written.bytes.count / 20
      try written.put(written.bytes.prefix(length))
      guard case .refused = open(written.path, .resume, steps: 0..<0) else {
        Issue.record("\(length) bytes are taken for a journal")
        continue
      }
    }
  }

  @Test("a write-ahead log that is cut or flipped loses whole batches from its end, which a witness notices")
  func log() throws {
    let written = try WrittenJournal()
    let journal = try Journal(written.path, .resume)
    for first in stride(from: steps, to: steps + 15, by: 3) {
      try journal.recordCommits((first..<first + 3).map(SampleState.commit))
    }
    let base = try Data(contentsOf: URL(fileURLWithPath: written.path))
    let wal = try Data(contentsOf: URL(fileURLWithPath: written.path + "-wal"))
    try journal.close()
    var random = Philox(seed: 12, .selfTest)
    var damaged = (0..<20).map { wal.prefix($0 * wal.count / 20) }
    for _ in 0..<40 {
      var flipped = wal
      flipped[random.below(wal.count)] ^= 1 << random.below(8)
      damaged.append(flipped)
    }
    var lengths: Set<Int> = []
    for (number, log) in damaged.enumerated() {
      try written.put(base, wal: log)
      let outcome = open(written.path, .resume, steps: steps..<steps + 16) { journal in
        let live = try journal.nextStep()
        lengths.insert(live)
        #expect((live - steps) % 3 == 0, "number \(number): half a batch")
        guard live < steps + 15 else { return }
        #expect(throws: JournalError.self) { try journal.requireSteps(steps + 15, witness: "rank 1") }
      }
      #expect(outcome == .right, "number \(number)")
    }
    #expect(lengths.count > 3, "\(lengths)")
    try written.put(base, wal: wal)
    #expect(open(written.path, .resume, steps: steps + 15..<steps + 16) == .right)
  }

  @Test(
    "another table layout than the program's is refused",
    arguments: [
      "DROP INDEX live_steps", "CREATE TABLE extra (a)", "ALTER TABLE steps RENAME COLUMN top5 TO top6",
      "DROP TABLE verdicts", "CREATE TRIGGER t AFTER INSERT ON steps BEGIN DELETE FROM consumed; END",
    ])
  func layout(statement: String) throws {
    let written = try WrittenJournal()
    let queue = try DatabaseQueue(path: written.path)
    try queue.write { try $0.execute(sql: statement) }
    try queue.close()
    let error = #expect(throws: JournalError.self) { try Journal(written.path, .resume) }
    #expect(error?.status == .badData)
  }
}
