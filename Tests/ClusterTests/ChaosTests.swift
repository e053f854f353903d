import Foundation
import TestSupport
import Testing

/// A minute of `cluster/chaos`: real faults in real processes, and the bytes of an undisturbed run.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ChaosTests {
  private func chaos(_ arguments: [String]) throws -> RunningProcess {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let binaries = URL(fileURLWithPath: LocalCluster.program("coordinator")).deletingLastPathComponent().path
    return try RunningProcess(
      root.appendingPathComponent("cluster/chaos").path, arguments + ["--bin", binaries])
  }

  @Test(
    "a minute of chaos ends with the undisturbed run's bytes, and every invariant holds",
    arguments: [["--seed", "3"], ["--seed", "4", "--shared-memory"]])
  func minute(arguments: [String]) throws {
    let finished = try chaos(["--minutes", "1"] + arguments).finish()
    #expect(finished.status == 0, "\(finished.output)")
    #expect(finished.output.contains("model.safetensors of step") && finished.output.contains("the same"))
    // Several kinds, and none was left out because nothing happened.
    let last = try #require(finished.output.split(separator: "\n").last)
    let count = try #require(last.split(separator: " ").compactMap { Int($0) }.first, "\(finished.output)")
    #expect(last == "chaos: ok, \(count) faults")
    #expect(count >= 4, "\(finished.output)")
  }

  @Test("the same seed gives the same schedule, another one another")
  func schedule() throws {
    func plan(_ seed: String) throws -> Finished { try chaos(["--plan", "--seed", seed]).finish() }
    let first = try plan("11")
    #expect(first.status == 0 && first.output.contains("kill-coordinator") && first.output.contains("partition"))
    #expect(try plan("11").output == first.output)
    #expect(try plan("12").output != first.output)
  }
}
