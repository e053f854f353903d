// A process that records commits under strace, and a disk that is full: all of a batch or none of it, and on it goes.
import Foundation
import GRDB
import Shared
import TestSupport
import Testing

@testable import DurableWriter
@testable import RunJournal

private let writer = RunningProcess.built("DurableWriter") ?? "DurableWriter"

@Suite(.enabled(if: Strace.isUsable, "needs strace, and the right to trace"), .serialized)
struct JournalFaultTests {
  let folder: TemporaryFolder
  let template: String

  init() throws {
    folder = try TemporaryFolder()
    template = folder.path("template")
    try FileManager.default.createDirectory(atPath: template, withIntermediateDirectories: true)
    try SampleState.journal("\(template)/run.db").close()
  }

  private func undisturbed() throws -> [SystemCall] {
    let directory = folder.path("undisturbed")
    try FileManager.default.copyItem(atPath: template, toPath: directory)
    let (calls, finished) = try Strace.calls(
      of: writer, ["journal", "\(directory)/run.db", "3", "2"], log: folder.path("trace"))
    #expect(finished.status == 0, "\(finished.output)")
    return calls
  }

  @Test("a batch is acknowledged when its log is durable, not before")
  func order() throws {
    // The first batch makes the log; each later one is written and synced at once.
    let names = try undisturbed().compactMap { call -> String? in
      guard call.paths.contains(where: { $0.hasSuffix("run.db-wal") }) else { return nil }
      return call.name.hasPrefix("pwrite") ? "write" : call.name.hasSuffix("sync") ? "sync" : nil
    }
    let changes = names.indices.filter { $0 == 0 || names[$0] != names[$0 - 1] }.map { names[$0] }
    #expect(changes.suffix(4) == ["write", "sync", "write", "sync"], "\(names)")
  }

  @Test("an error or a kill at any system call: each batch is there or not, and what was acknowledged is there")
  func anyCall() throws {
    let calls = try undisturbed()
    #expect(calls.count > 20, "\(calls)")
    let cases = calls.flatMap { call -> [Injection] in
      var faults: [Strace.Fault] = [.kill]
      // Giving a lock back asks no disk, so that no disk can make it fail.
      if !call.text.contains("F_UNLCK") { faults.append(.error("EIO")) }
      if call.name.hasPrefix("pwrite") { faults.append(.error("ENOSPC")) }
      return faults.map { Injection(call: call, fault: $0) }
    }
    let found = problems(cases) { try problem($0) }
    #expect(found.isEmpty, "\(found.count) of \(cases.count):\n\(found.joined(separator: "\n"))")
  }

  private func problem(_ item: Injection) throws -> String? {
    let name = UUID().uuidString
    let (directory, log) = (folder.path(name), folder.path("\(name).trace"))
    let path = "\(directory)/run.db"
    try FileManager.default.copyItem(atPath: template, toPath: directory)
    defer { for path in [directory, log] { try? FileManager.default.removeItem(atPath: path) } }
    let (finished, wasDisturbed) = try Strace.run(
      writer, ["journal", path, "3", "2"], item.fault, at: item.call, log: log)
    guard wasDisturbed else { return "the fault did not take place: \(finished)" }
    switch item.fault {
    case .kill: if finished.status != 128 + SIGKILL { return "it was not killed: \(finished)" }
    // Once more was enough: a failure leaves the journal as it was, and usable.
    default: if finished.status != 0 { return "\(finished)" }
    }
    let acknowledged = finished.output.matches(of: /acknowledged (\d+)/).compactMap { Int($0.output.1) }.max() ?? 3
    let journal = try Journal(path, .resume)
    let live = try journal.nextStep()
    guard live >= acknowledged, live <= acknowledged + 3, live % 3 == 0 else {
      return "\(live) steps are there, \(acknowledged) were acknowledged"
    }
    guard try journal.commits(0..<live).map(\.chainText) == (0..<live).map({ SampleState.commit($0).step.chainText })
    else { return "other steps than were recorded" }
    let found = try JournalAudit(directory).problems
    guard found.isEmpty else { return found.joined(separator: "; ") }
    try journal.recordCommits((live..<live + 3).map(SampleState.commit))
    try journal.close()
    return nil
  }
}

@Suite(.enabled(if: SmallDisk.isPermitted, "needs root, to mount a small tmpfs"))
struct JournalDiskTests {
  @Test(
    "on a full disk a batch fails as transient and leaves nothing; with room it is recorded",
    arguments: [0, 4096, 12288])
  func diskFull(room: Int) throws {
    let disk = try SmallDisk(kilobytes: 2048)
    let journal = try SampleState.journal("\(disk.path)/run.db")
    // The log is as long as what it holds, and is written anew from its start only when it was copied.
    try disk.fill(except: room)
    var next = 3
    var failure: JournalError?
    while failure == nil {
      do {
        try journal.recordCommits((next..<next + 3).map(SampleState.commit))
        next += 3
      } catch let error as JournalError { failure = error }
    }
    for _ in 0..<3 {
      let error = #expect(throws: JournalError.self) {
        try journal.recordCommits((next..<next + 3).map(SampleState.commit))
      }
      #expect(error?.status == .ioError)
      #expect(error?.isTransient == true)
      #expect(error?.description.contains("free some space") == true)
      #expect(try journal.nextStep() == next)
      #expect(try JournalAudit(disk.path).problems == [])
    }
    try disk.free()
    #expect(try journal.recordCommits((next..<next + 3).map(SampleState.commit)).recorded == 3)
    try journal.close()
    let again = try Journal("\(disk.path)/run.db", .resume)
    #expect(try again.nextStep() == next + 3)
    #expect(try JournalAudit(disk.path).problems == [])
    try again.close()
  }

  @Test("a journal on a read-only file system can be looked at, and cannot be resumed")
  func readOnly() throws {
    let disk = try SmallDisk(kilobytes: 2048)
    try SampleState.journal("\(disk.path)/run.db").close()
    try disk.remount(readOnly: true)
    let error = #expect(throws: JournalError.self) { try Journal("\(disk.path)/run.db", .resume) }
    #expect(error?.isTransient == true && error?.status == .ioError)
    try disk.remount(readOnly: false)
    #expect(try Journal("\(disk.path)/run.db", .resume).nextStep() == 3)
  }

  @Test("contents that contradict are not transient, a database that somebody else holds is")
  func transience() throws {
    let folder = try TemporaryFolder()
    let journal = try SampleState.journal(folder.path("run.db"))
    let gap = #expect(throws: JournalError.self) { try journal.recordCommits([SampleState.commit(7)]) }
    #expect(gap?.isTransient == false)
    let busy = JournalError.database(DatabaseError(resultCode: .SQLITE_BUSY), "recording", "run.db")
    #expect(busy.isTransient && busy.status == .unavailable)
    let corrupt = JournalError.database(DatabaseError(resultCode: .SQLITE_CORRUPT), "recording", "run.db")
    #expect(!corrupt.isTransient && corrupt.status == .badData)
  }
}
