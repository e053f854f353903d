// Checkpoints on disk: what is written is found, what is damaged is not, and nothing else is touched.
import Foundation
import Shared
import Testing

@testable import Checkpoint

func files(_ byte: UInt8, step: Int, size: Int = 3000) -> CheckpointFiles {
  var trainer = SafeTensorsWriter()
  trainer.metadata["step"] = String(step)
  trainer.add("t", .int32, shape: [size / 8], [Int32](repeating: Int32(byte), count: size / 8))
  return CheckpointFiles(model: Data(repeating: byte, count: size), trainer: trainer.bytes())
}

@Suite struct CheckpointStoreTests {
  let directory: TemporaryDirectory
  let store: CheckpointStore

  init() throws {
    directory = try TemporaryDirectory()
    store = try CheckpointStore("\(directory.path)/run/checkpoints", access: .writing)
  }

  @Test("what was written is read back, listed and newest")
  func roundTrip() throws {
    let written = try store.write(7, files(1, step: 7))
    try store.write(123_456_789, files(2, step: 123_456_789))
    #expect(try store.list() == [7, 123_456_789])
    #expect(try store.read(7) == files(1, step: 7))
    #expect(written.path.hasSuffix("/step-00000007"))
    #expect(written.bytes == 3000 + files(1, step: 7).trainer.count)
    let search = try store.newestValid()
    #expect(search.newest?.step == 123_456_789)
    #expect(search.rejected.isEmpty)
  }

  @Test("sha256sum accepts the manifest", .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/sha256sum")))
  func sha256sum() throws {
    let written = try store.write(3, files(9, step: 3))
    let check = ["-c", "--strict", "MANIFEST.sha256"]
    #expect(try run("/usr/bin/sha256sum", check, in: written.path) == 0)
    try Data([0]).write(to: URL(fileURLWithPath: written.modelPath))
    #expect(try run("/usr/bin/sha256sum", check, in: written.path) != 0)
  }

  @Test("the same bytes give the same directory, byte for byte, and the same manifest digest")
  func equalStates() throws {
    let other = try TemporaryDirectory()
    let second = try CheckpointStore(other.path, access: .writing)
    #expect(try store.write(5, files(4, step: 5)).manifestDigest == second.write(5, files(4, step: 5)).manifestDigest)
    let here = try directory.contents().map {
      ($0.key.replacingOccurrences(of: "run/checkpoints/", with: ""), $0.value)
    }
    #expect(try Dictionary(uniqueKeysWithValues: here) == other.contents())
  }

  @Test("writing a checkpoint again leaves it alone; another state under its step is refused")
  func idempotent() throws {
    let path = try store.write(5, files(4, step: 5)).modelPath
    let inode = try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int
    try store.write(5, files(4, step: 5))
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int == inode)
    let error = #expect(throws: CheckpointError.self) { try store.write(5, files(6, step: 5)) }
    #expect(error?.status == .badData)
    #expect(try store.read(5) == files(4, step: 5))
    #expect(try Directory.names(store.directory) == ["step-00000005"])
  }

  @Test("a damaged checkpoint is replaced by the same state written again")
  func repair() throws {
    let path = try store.write(5, files(4, step: 5)).modelPath
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
    try store.write(5, files(4, step: 5))
    #expect(try store.read(5) == files(4, step: 5))
    #expect(try Directory.names(store.directory) == ["step-00000005"])
  }

  @Test(
    "truncation at any length is found, and the older checkpoint chosen",
    arguments: ["model.safetensors", "trainer.safetensors", "MANIFEST.sha256"])
  func truncation(name: String) throws {
    try store.write(1, files(1, step: 1))
    let path = try store.write(2, files(2, step: 2)).path + "/\(name)"
    let whole = try #require(FileManager.default.contents(atPath: path))
    for length in [0, 1, 7, 64, 66, whole.count / 2, whole.count - 1] {
      try whole.prefix(length).write(to: URL(fileURLWithPath: path))
      let search = try store.newestValid()
      #expect(search.newest?.step == 1)
      #expect(search.rejected.map(\.name) == ["step-00000002"])
      #expect(search.rejected.first?.reason.contains(name) == true)
    }
    try FileManager.default.removeItem(atPath: path)
    #expect(try store.newestValid().newest?.step == 1)
    try whole.write(to: URL(fileURLWithPath: path))
    #expect(try store.newestValid().newest?.step == 2)
  }

  @Test("a flipped bit anywhere is found", arguments: ["model.safetensors", "trainer.safetensors", "MANIFEST.sha256"])
  func bitFlips(name: String) throws {
    let path = try store.write(2, files(2, step: 2)).path + "/\(name)"
    let whole = try #require(FileManager.default.contents(atPath: path))
    var random = Philox(seed: 1, .selfTest)
    for _ in 0..<40 {
      var damaged = whole
      damaged[random.below(whole.count)] ^= 1 << random.below(8)
      try damaged.write(to: URL(fileURLWithPath: path))
      #expect(throws: CheckpointError.self) { try store.verify(2) }
      #expect(throws: CheckpointError.self) { try store.read(2) }
    }
  }

  @Test("what an interrupted write left is removed at the next start, but not by somebody who looks on")
  func leftovers() throws {
    try store.write(1, files(1, step: 1))
    let leftover = "\(store.directory)/.tmp-step-00000002"
    try Directory.create(leftover)
    try Data([1]).write(to: URL(fileURLWithPath: "\(leftover)/model.safetensors"))
    _ = try CheckpointStore(store.directory, access: .reading)
    #expect(try Directory.exists(leftover))
    _ = try CheckpointStore(store.directory, access: .writing)
    #expect(try Directory.names(store.directory) == ["step-00000001"])
  }

  @Test("the best checkpoint is a link that is replaced at once, with its description, and is not pruned")
  func best() throws {
    for step in 1...4 { try store.write(step, files(UInt8(step), step: step)) }
    #expect(store.best() == nil)
    for step in [1, 2] {
      try store.markBest(step, description: Data("\(step)".utf8))
      #expect(store.best() == step)
      #expect(try Data(contentsOf: URL(fileURLWithPath: "\(store.directory)/best.json")) == Data("\(step)".utf8))
      let model = try Data(contentsOf: URL(fileURLWithPath: "\(store.directory)/best/model.safetensors"))
      #expect(model == files(UInt8(step), step: step).model)
    }
    #expect(try store.prune(keep: 1, sparing: [2]) == [1, 3] && store.list() == [2, 4])
    #expect(try Directory.names(store.directory) == ["best", "best.json", "step-00000002", "step-00000004"])
    #expect(CheckpointAudit(store.directory).best() == 2)
    // What is not there cannot be marked, and the mark stays.
    #expect(throws: CheckpointError.self) { try store.markBest(3, description: Data()) }
    #expect(store.best() == 2)
    // An interrupted marking leaves nothing behind.
    try FileManager.default.createSymbolicLink(
      atPath: "\(store.directory)/.tmp-best", withDestinationPath: "step-00000004")
    let again = try CheckpointStore(store.directory, access: .writing)
    try again.markBest(4, description: Data())
    #expect(again.best() == 4)
  }

  @Test("pruning keeps the newest valid ones, counts no damaged one, and never removes the last good one")
  func prune() throws {
    for step in 1...5 { try store.write(step, files(UInt8(step), step: step)) }
    let fresh = try CheckpointStore(store.directory, access: .writing)
    try Data().write(to: URL(fileURLWithPath: "\(store.directory)/step-00000005/model.safetensors"))
    #expect(try fresh.prune(keep: 2) == [1, 2])
    #expect(try fresh.list() == [3, 4, 5])
    for step in 3...4 {
      try Data().write(to: URL(fileURLWithPath: "\(store.directory)/step-0000000\(step)/MANIFEST.sha256"))
    }
    #expect(try CheckpointStore(store.directory, access: .writing).prune(keep: 1).isEmpty)
  }

  @Test("other names in the directory are not checkpoints")
  func otherNames() throws {
    for name in ["step-1", "step-000000001", "step-0000000x", "step--0000001", "notes"] {
      try Directory.create("\(store.directory)/\(name)")
    }
    #expect(try store.list().isEmpty)
    #expect(try store.newestValid().newest == nil)
  }
}
