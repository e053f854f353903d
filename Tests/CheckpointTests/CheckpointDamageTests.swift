// Damage of every kind to a real checkpoint: it is never loaded, the reason names the file, and the older one is found.
import Foundation
import Shared
import TestSupport
import Testing

@testable import Checkpoint
@testable import DurableWriter

private let fileNames = CheckpointFiles.names + [Manifest.name]

/// Step 1 is whole, step 2 is what each test damages.
@Suite final class CheckpointDamageTests {
  let folder: TemporaryFolder
  let store: CheckpointStore
  let damaged: String

  init() throws {
    folder = try TemporaryFolder()
    store = try CheckpointStore(folder.path("checkpoints"), access: .writing)
    try store.write(1, SampleState.checkpoint(step: 1))
    damaged = try store.write(2, SampleState.checkpoint(step: 2)).path
  }

  private func whole(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(damaged)/\(name)")) }

  private func put(_ data: Data, _ name: String) throws {
    try data.write(to: URL(fileURLWithPath: "\(damaged)/\(name)"))
  }

  /// The whole older checkpoint is found, and what is said about the newer one contains `reason`.
  private func expectRejected(_ reason: String, _ what: String, _ location: SourceLocation = #_sourceLocation) throws {
    // A store of its own: one that has seen the files whole must not be needed to doubt them, nor blind to the damage.
    for store in [store, try CheckpointStore(store.directory, access: .reading)] {
      let search = try store.newestValid()
      #expect(search.newest?.step == 1, "\(what)", sourceLocation: location)
      #expect(search.rejected.map(\.name) == ["step-00000002"], "\(what)", sourceLocation: location)
      let said = search.rejected.first?.reason ?? ""
      #expect(said.contains(reason) && !said.contains("\n"), "\(what): \(said)", sourceLocation: location)
      #expect(throws: CheckpointError.self, "\(what)", sourceLocation: location) { try store.read(2) }
    }
    #expect(try store.read(1) == SampleState.checkpoint(step: 1), sourceLocation: location)
  }

  @Test("a file that is cut at any of 20 lengths, or is longer", arguments: fileNames)
  func truncation(name: String) throws {
    let data = try whole(name)
    let lengths = Set([0, 1, data.count - 1] + (1...17).map { $0 * data.count / 18 })
    #expect(lengths.count == 20)
    for length in lengths {
      try put(data.prefix(length), name)
      try expectRejected("step-00000002/\(name)", "\(length) bytes of \(name)")
    }
    try put(data + [10], name)
    try expectRejected("step-00000002/\(name)", "\(name) with a byte more")
    try put(data, name)
    #expect(try store.newestValid().newest?.step == 2)
  }

  @Test("each of 1,000 flipped bits, spread over all bytes of all files")
  func bitFlips() throws {
    let contents = try fileNames.map { ($0, try whole($0)) }
    let total = contents.reduce(0) { $0 + $1.1.count }
    var random = Philox(seed: 3, .selfTest)
    for _ in 0..<1000 {
      var position = random.below(total)
      let bit = UInt8(1) << random.below(8)
      for (name, data) in contents {
        if position < data.count {
          var flipped = data
          flipped[position] ^= bit
          try put(flipped, name)
          let search = try store.newestValid()
          #expect(search.newest?.step == 1, "byte \(position) of \(name), bit \(bit)")
          // A manifest that names another digest accuses the file that should have it.
          let accused = name == Manifest.name ? "" : name
          #expect(search.rejected.first?.reason.contains("step-00000002/\(accused)") == true)
          try put(data, name)
          break
        }
        position -= data.count
      }
    }
    #expect(try store.newestValid().newest?.step == 2)
  }

  @Test("a file that is missing, is a directory, a pipe that nobody writes, or a link to nothing", arguments: fileNames)
  func missing(name: String) throws {
    let path = "\(damaged)/\(name)"
    try FileManager.default.removeItem(atPath: path)
    try expectRejected("step-00000002/\(name)", "\(name) missing")
    try Directory.create(path)
    try expectRejected("step-00000002/\(name): is not a regular file", "\(name) a directory")
    try Directory.remove(path)
    #expect(mkfifo(path, 0o600) == 0)
    try expectRejected("step-00000002/\(name): is not a regular file", "\(name) a pipe")
    try Directory.remove(path)
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "nothing")
    try expectRejected("step-00000002/\(name)", "\(name) a link to nothing")
  }

  @Test("the manifest of another step, the files of another step, and all three of them")
  func stale() throws {
    let older = "\(store.directory)/step-00000001"
    func take(_ name: String) throws { try put(Data(contentsOf: URL(fileURLWithPath: "\(older)/\(name)")), name) }
    try take(Manifest.name)
    try expectRejected("step-00000002/model.safetensors", "stale manifest")
    try take(CheckpointFiles.modelName)
    try expectRejected("step-00000002/trainer.safetensors", "stale manifest and model")
    try take(CheckpointFiles.trainerName)
    try expectRejected("step-00000002/trainer.safetensors: is of step 1", "a copy of the older one")
  }

  @Test("a manifest that fits, over a trainer's file that says no step")
  func noStep() throws {
    for trainer in [Data(), Data(repeating: 255, count: 64), Data([2, 0, 0, 0, 0, 0, 0, 0]) + Data("{}".utf8)] {
      let files = CheckpointFiles(model: Data([1]), trainer: trainer)
      try put(files.model, CheckpointFiles.modelName)
      try put(files.trainer, CheckpointFiles.trainerName)
      try put(Manifest(files).data, Manifest.name)
      try expectRejected("trainer.safetensors: its header says no step", "\(trainer.count) bytes")
    }
    #expect(throws: CheckpointError.self) { try store.write(3, SampleState.checkpoint(step: 4)) }
    #expect(try Directory.names(store.directory) == ["step-00000001", "step-00000002"])
  }

  @Test("files of a terabyte of nothing are not read to memory", arguments: [Manifest.name, CheckpointFiles.modelName])
  func huge(name: String) throws {
    // The store has verified it, so that it knows how much to read.
    _ = try store.verify(2)
    #expect(truncate("\(damaged)/\(name)", 1 << 40) == 0)
    #expect(throws: CheckpointError.self) { try store.read(2) }
    guard name == Manifest.name else { return }
    try expectRejected("step-00000002/\(name): is damaged: it is longer", "a terabyte")
  }

  @Test("an empty directory, a file and a link in a checkpoint's place")
  func otherThings() throws {
    try Directory.remove(damaged)
    try Directory.create(damaged)
    try expectRejected("step-00000002/MANIFEST.sha256", "an empty directory")
    try Directory.remove(damaged)
    try Data("x".utf8).write(to: URL(fileURLWithPath: damaged))
    try expectRejected("step-00000002/MANIFEST.sha256", "a file")
    try Directory.remove(damaged)
    try FileManager.default.createSymbolicLink(atPath: damaged, withDestinationPath: "nothing")
    try expectRejected("step-00000002/MANIFEST.sha256", "a link to nothing")
    try Directory.remove(damaged)
    try FileManager.default.createSymbolicLink(atPath: damaged, withDestinationPath: "step-00000001")
    try expectRejected("is of step 1", "a link to the older one")
  }

  @Test("whatever is in its place, the same step written again is whole, and nothing else is left")
  func replaced() throws {
    let makers: [(String) throws -> Void] = [
      { try Directory.create($0) },
      { try Data("x".utf8).write(to: URL(fileURLWithPath: $0)) },
      { path in
        try Directory.create("\(path)/a/b")
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(path)/a/b/c"))
      },
    ]
    for make in makers {
      try Directory.remove(damaged)
      try make(damaged)
      try store.write(2, SampleState.checkpoint(step: 2))
      #expect(try store.read(2) == SampleState.checkpoint(step: 2))
      #expect(try Directory.names(store.directory) == ["step-00000001", "step-00000002"])
    }
  }

  @Test("files beside the three do no harm, and pruning and tidying remove them, directories included")
  func extraFiles() throws {
    for path in [damaged, "\(store.directory)/.tmp-step-00000009", "\(store.directory)/step-00000001"] {
      try Directory.create("\(path)/folder/inner")
      try put(Data("x".utf8), "folder/inner/file")
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(path)/extra"))
    }
    try Data("x".utf8).write(to: URL(fileURLWithPath: "\(store.directory)/.tmp-file"))
    let again = try CheckpointStore(store.directory, access: .writing)
    #expect(try again.newestValid().newest?.step == 2)
    #expect(try again.newestValid().rejected.isEmpty)
    #expect(try again.prune(keep: 1) == [1])
    #expect(try Directory.names(store.directory) == ["step-00000002"])
  }

  @Test("with no valid one, none is loaded and every one is named; where there is no directory, there is none")
  func noneValid() throws {
    for step in 1...2 {
      try Data().write(to: URL(fileURLWithPath: "\(store.directory)/step-0000000\(step)/MANIFEST.sha256"))
    }
    let search = try store.newestValid()
    #expect(search.newest == nil)
    #expect(search.rejected.map(\.name) == ["step-00000002", "step-00000001"])
    #expect(try store.prune(keep: 1).isEmpty)
    #expect(try CheckpointStore(folder.path("none"), access: .reading).newestValid().newest == nil)
  }

  @Test("a directory that cannot be looked into is an error, not a run without checkpoints")
  func unreadable() throws {
    let file = folder.path("file")
    try Data().write(to: URL(fileURLWithPath: file))
    #expect(throws: CheckpointError.self) { try CheckpointStore(file, access: .reading).newestValid() }
    #expect(throws: CheckpointError.self) { try CheckpointStore("\(file)/inner", access: .reading).newestValid() }
    let loop = folder.path("loop")
    try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: "loop")
    let error = #expect(throws: CheckpointError.self) {
      try CheckpointStore("\(loop)/checkpoints", access: .reading).newestValid()
    }
    #expect(error?.path == "\(loop)/checkpoints")
  }

  @Test("a directory without read permission is an error", .enabled(if: geteuid() != 0, "root may read anything"))
  func forbidden() throws {
    #expect(chmod(store.directory, 0) == 0)
    defer { chmod(store.directory, 0o700) }
    let error = #expect(throws: CheckpointError.self) { try store.newestValid() }
    #expect(error?.code == EACCES)
  }
}
