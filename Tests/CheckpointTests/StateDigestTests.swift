// The digest of a checkpoint's state from its files, in Swift and in Python; and what becomes of a stranger's state.
import DurableWriter
import Foundation
import Shared
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct StateDigestTests {
  private static let cluster = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("cluster").path

  /// Two parameters whose names enclose those of the statistics, and the numbers in the order of the digest.
  private func files(slots: [String]) -> (CheckpointFiles, numbers: [UInt32]) {
    var random = Philox(seed: 3, .selfTest)
    func numbers(_ count: Int) -> [UInt32] { (0..<count).map { _ in random.nextWord() } }
    let (a, z, mean, scales) = (numbers(300), numbers(41), numbers(5), numbers(2))
    let state = slots.map { _ in (numbers(300), numbers(41)) }
    var (model, trainer) = (SafeTensorsWriter(), SafeTensorsWriter())
    model.add("a.weight", .float32, shape: [3, 100], a)
    model.add("z.weight", .float32, shape: [41], z)
    model.add("m.running_mean", .float32, shape: [5], mean)
    for (slot, values) in zip(slots, state) {
      trainer.add("\(slot).a.weight", .float32, shape: [3, 100], values.0)
      trainer.add("\(slot).z.weight", .float32, shape: [41], values.1)
    }
    trainer.add("trainer.scales", .int32, shape: [2], scales)
    trainer.metadata["step"] = "7"
    if slots != ["momentum"] {
      trainer.metadata["slots"] = "[" + slots.map { "\"\($0).\"" }.joined(separator: ",") + "]"
    }
    return (
      CheckpointFiles(model: model.bytes(), trainer: trainer.bytes()),
      a + z + state.flatMap { $0.0 + $0.1 } + mean + scales
    )
  }

  private func python(_ script: String, _ arguments: [String]) throws -> String {
    let process = try RunningProcess(
      "/usr/bin/env",
      ["python3", "-B", "-c", "import sys; sys.path.insert(0, sys.argv[1])\n" + script, Self.cluster] + arguments)
    let finished = process.finish()
    #expect(finished.status == 0, "\(finished.output)")
    return finished.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  @Test(
    "it goes over parameters, slots, statistics and scales in order, in both languages",
    arguments: [["momentum"], ["square", "average"]])
  func order(slots: [String]) throws {
    let (files, numbers) = files(slots: slots)
    let expected = numbers.withUnsafeBytes { Digest128(of: $0) }
    #expect(try files.stateDigest() == expected)
    let folder = try TemporaryFolder()
    try files.model.write(to: URL(fileURLWithPath: folder.path("m")))
    try files.trainer.write(to: URL(fileURLWithPath: folder.path("t")))
    let found = try python(
      "from state_digest import state_digest; print(state_digest(*sys.argv[2:]))", [folder.path("m"), folder.path("t")])
    #expect(found == expected.description)
  }

  @Test("XXH3-128 in Python is ours, for every length around its blocks and stripes, however it is cut")
  func python() throws {
    let lengths = [241, 255, 256, 257, 1023, 1024, 1025, 1087, 1088, 1089, 2047, 2048, 2049, 70_000]
    let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: ($0 &* $0) >> 7 ^ $0) }
    let script = """
      from state_digest import XXH3
      data = bytes((i * i >> 7 ^ i) & 255 for i in range(70000))
      for length in map(int, sys.argv[2:]):
          found = set()
          for piece in (length, 37, 64, 1000):
              digest = XXH3()
              for start in range(0, length, piece):
                  digest.update(data[start:min(length, start + piece)])
              found.add(digest.hexdigest())
          print(*found)
      """
    let expected = lengths.map { length in bytes[..<length].withUnsafeBytes { Digest128(of: $0).description } }
    #expect(try python(script, lengths.map(String.init)) == expected.joined(separator: "\n"))
  }

  @Test("files that are no state are refused")
  func refused() throws {
    let (files, _) = files(slots: ["momentum"])
    #expect(throws: (any Error).self) { try self.files(slots: []).0.stateDigest() }
    #expect(throws: (any Error).self) { try CheckpointFiles(model: files.trainer, trainer: files.model).stateDigest() }
    #expect(throws: (any Error).self) { try CheckpointFiles(model: Data(), trainer: files.trainer).stateDigest() }
  }

  @Test("a whole checkpoint of another state than the journal's is passed over, and can be set aside")
  func strange() throws {
    let folder = try TemporaryFolder()
    let store = try CheckpointStore(folder.path("c"), access: .writing)
    for step in 1...3 { try store.write(step, SampleState.checkpoint(step: step)) }
    let states = try (1...3).map { try SampleState.checkpoint(step: $0).stateDigest() }
    #expect(try store.newestValid { states[$0 - 1] }.newest?.step == 3)
    #expect(try store.newestValid { _ in nil }.newest?.step == 3)
    // The journal has other states after steps 3 and 1.
    let search = try store.newestValid { $0 == 2 ? states[1] : Digest128(high: 0, low: 0) }
    #expect(search.newest?.step == 2 && search.strange == [3])
    #expect(search.rejected.map(\.name) == ["step-00000003"])
    #expect(search.rejected.first?.reason.contains("not the one that the journal has") == true)
    for _ in 0..<2 {
      #expect(try store.setAside(3) == "rejected-step-00000003")
      #expect(try store.list() == [1, 2])
      try store.write(3, SampleState.checkpoint(step: 3))
    }
    #expect(try Directory.names(folder.path("c")).contains("rejected-step-00000003"))
    #expect(CheckpointAudit(folder.path("c")).steps() == [1, 2, 3])
    let audit = CheckpointAudit(folder.path("c"))
    #expect(audit.examineState(3, digest: states[2].description) == nil)
    #expect(audit.examineState(3, digest: states[1].description)?.contains("not the one that the journal has") == true)
  }
}
