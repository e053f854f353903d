// A process that saves a checkpoint under strace: each of its system calls fails, lies, or is where it is killed.
import Foundation
import Shared
import TestSupport
import Testing

@testable import Checkpoint
@testable import DurableWriter

private let writer = RunningProcess.built("DurableWriter") ?? "DurableWriter"

@Suite(.enabled(if: Strace.isUsable, "needs strace, and the right to trace"), .serialized)
struct CheckpointFaultTests {
  let folder: TemporaryFolder
  /// What each run starts from a copy of.
  let template: String

  init() throws {
    folder = try TemporaryFolder()
    template = folder.path("template")
    try CheckpointStore(template, access: .writing).write(1, SampleState.checkpoint(step: 1))
  }

  /// The calls of an undisturbed save of step 2.
  private func undisturbed() throws -> [SystemCall] {
    let directory = folder.path("undisturbed")
    try? FileManager.default.removeItem(atPath: directory)
    try FileManager.default.copyItem(atPath: template, toPath: directory)
    let (calls, finished) = try Strace.calls(
      of: writer, ["checkpoint", directory, "2", "1"], log: folder.path("trace"))
    #expect(finished.status == 0, "\(finished.output)")
    return calls
  }

  @Test("every file and name is durable before the next depends on it, and the older checkpoint goes last")
  func order() throws {
    let directory = folder.path("undisturbed")
    var steps: [String] = []
    let names: Set = ["mkdir", "write", "fsync", "rename", "renameat2", "read", "unlink", "rmdir"]
    for call in try undisturbed() where names.contains(call.name) {
      let paths = call.paths.map { $0 == directory ? "." : String($0.dropFirst(directory.count + 1)) }
      let step =
        "\(call.name) \(paths.filter { !$0.isEmpty }.prefix(call.name == "rename" ? 2 : 1).joined(separator: " "))"
      if steps.last != step { steps.append(step) }
    }
    let (new, old) = (".tmp-step-00000002", ".tmp-old-step-00000001")
    #expect(
      steps == [
        "mkdir \(new)", "fsync .",
        "write \(new)/model.safetensors", "write \(new)/trainer.safetensors", "write \(new)/MANIFEST.sha256",
        "fsync \(new)/model.safetensors", "fsync \(new)/trainer.safetensors", "fsync \(new)/MANIFEST.sha256",
        "fsync \(new)",
        "rename \(new) step-00000002", "fsync .",
        "read step-00000002/MANIFEST.sha256", "read step-00000002/model.safetensors",
        "read step-00000002/trainer.safetensors",
        // Pruning looks whether they are still the files that were read, then makes sure of the names.
        "read step-00000002/MANIFEST.sha256",
        "fsync .",
        "rename step-00000001 \(old)", "unlink \(old)", "unlink \(old)/MANIFEST.sha256",
        "unlink \(old)/model.safetensors", "unlink \(old)/trainer.safetensors", "rmdir \(old)",
      ], "\(steps.joined(separator: "\n"))")
  }

  @Test("an error or a kill at any system call of a save leaves the old or the new checkpoint whole")
  func anyCall() throws {
    let calls = try undisturbed()
    #expect(calls.count > 60, "\(calls)")
    let cases = calls.flatMap { call in Self.faults(of: call.name).map { Injection(call: call, fault: $0) } }
    let found = problems(cases) { try problem($0) }
    #expect(found.isEmpty, "\(found.count) of \(cases.count):\n\(found.joined(separator: "\n"))")
  }

  @Test("the same where the step's checkpoint is there already, and damaged: its name is never without a checkpoint")
  func anyCallOfReplacing() throws {
    // The trainer's file of step 1 under step 2.
    try FileManager.default.copyItem(atPath: "\(template)/step-00000001", toPath: "\(template)/step-00000002")
    let cases = try undisturbed().flatMap { call in
      [.error("EIO"), .kill].map { Injection(call: call, fault: $0) }
    }
    let found = problems(cases) { try problem($0, isReplaced: true) }
    #expect(found.isEmpty, "\(found.count) of \(cases.count):\n\(found.joined(separator: "\n"))")
  }

  @Test("the only checkpoint there is, written again, stays whole whatever fails")
  func anyCallOfRepeating() throws {
    try FileManager.default.removeItem(atPath: "\(template)/step-00000001")
    try CheckpointStore(template, access: .writing).write(2, SampleState.checkpoint(step: 2))
    let cases = try undisturbed().flatMap { call in
      [.error("EIO"), .kill].map { Injection(call: call, fault: $0) }
    }
    let found = problems(cases) { try problem($0) }
    #expect(found.isEmpty, "\(found.count) of \(cases.count):\n\(found.joined(separator: "\n"))")
  }

  private static func faults(of name: String) -> [Strace.Fault] {
    var faults: [Strace.Fault] = [.error("EIO"), .kill]
    if ["openat", "mkdir", "write", "fsync", "rename"].contains(name) { faults.append(.error("ENOSPC")) }
    if ["openat", "mkdir", "rename", "unlink"].contains(name) { faults.append(.error("EROFS")) }
    if ["openat", "read", "write", "close", "getdents64", "fsync"].contains(name) { faults.append(.error("EINTR")) }
    if name == "write" { faults += [.lie(0), .lie(7)] }
    if name == "read" { faults.append(.lie(0)) }
    return faults
  }

  /// What is wrong after a save with this fault; nil if all is as it must be.
  /// - Parameter isReplaced: the step has a checkpoint, perhaps one that is only thought to be damaged.
  private func problem(_ item: Injection, isReplaced: Bool = false) throws -> String? {
    let name = UUID().uuidString
    let (directory, log) = (folder.path(name), folder.path("\(name).trace"))
    try FileManager.default.copyItem(atPath: template, toPath: directory)
    defer { for path in [directory, log] { try? FileManager.default.removeItem(atPath: path) } }
    let (finished, wasDisturbed) = try Strace.run(
      writer, ["checkpoint", directory, "2", "1"], item.fault, at: item.call, log: log)
    guard wasDisturbed else { return "the fault did not take place: \(finished)" }
    if let wrong = Self.problem(with: finished, item) { return wrong }

    let store = try CheckpointStore(directory, access: .writing)
    if isReplaced, item.fault == .kill, try !store.list().contains(2) { return "a moment without step 2" }
    guard let newest = try store.newestValid().newest else { return "no valid checkpoint is left: \(finished)" }
    guard [1, 2].contains(newest.step), try store.read(newest.step) == SampleState.checkpoint(step: newest.step)
    else { return "step \(newest.step) does not hold its state" }
    if finished.status == 0, newest.step != 2 { return "it ended well, but the newest is step \(newest.step)" }
    let names = try Directory.names(directory)
    guard names.allSatisfy({ $0.hasPrefix("step-") }) else { return "\(names) are left" }
    let check = try RunningProcess(
      "/bin/sh", ["-c", "cd '\(newest.path)' && sha256sum -c --strict MANIFEST.sha256"]
    ).finish()
    guard check.status == 0 else { return check.output }
    try store.write(3, SampleState.checkpoint(step: 3))
    try store.prune(keep: 1)
    guard try store.list() == [3], try store.newestValid().newest?.step == 3 else { return "no later save" }
    return nil
  }

  private static func problem(with finished: Finished, _ item: Injection) -> String? {
    switch item.fault {
    case .kill: if finished.status != 128 + SIGKILL { return "it was not killed: \(finished)" }
    // An interrupted call is made again; only of fsync nobody can say what became of the pages.
    case .error("EINTR") where item.call.name != "fsync": if finished.status != 0 { return "\(finished)" }
    case .error, .lie:
      guard finished.status != 0 else {
        // Nothing that the checkpoint's durability rests on may fail unnoticed.
        return ["mkdir", "write", "fsync", "rename"].contains(item.call.name) ? "the failure is not told" : nil
      }
      let lines = finished.output.split(separator: "\n").filter { $0 != "begin" }
      let expected: [Shared.ExitStatus] = if case .lie = item.fault { [.badData, .ioError] } else { [.ioError] }
      guard lines.count == 1, lines[0].hasPrefix("/"), expected.contains(where: { $0.rawValue == finished.status })
      else { return "\(finished)" }
    }
    return nil
  }
}
