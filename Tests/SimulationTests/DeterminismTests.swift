// One seed decides everything that happens in a simulation: no order of a dictionary or a set, which differs from
// process to process, reaches a decision.
import Foundation
import Testing

extension SimulationTests {
  private static let file = ProcessInfo.processInfo.environment["TAMRING_DIGESTS"]

  @Test("200 seeds go the same way in two processes that hash differently")
  func hashSeeds() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tamring-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = ["first", "second"].map { folder.appendingPathComponent($0) }
    let processes = try files.map { file in
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      process.arguments = ["--testing-library", "swift-testing", "--filter", "SimulationTests.digests"]
      var environment = ProcessInfo.processInfo.environment
      environment["SWIFT_DETERMINISTIC_HASHING"] = nil
      environment["TAMRING_DIGESTS"] = file.path
      process.environment = environment
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      return process
    }
    for process in processes { process.waitUntilExit() }
    let digests = try files.map { file in
      try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    }
    try #require(digests[0].count == 201 && digests[1].count == 201)
    // The first line is a hash of the process.
    #expect(digests[0][0] != digests[1][0], "both processes hash alike")
    let differing = zip(digests[0], digests[1]).dropFirst().filter { $0 != $1 }.map { String($0.0) }
    #expect(differing.isEmpty, "seeds that went two ways: \(differing)")
  }

  @Test("the digests of many seeds' traces", .enabled(if: file != nil))
  func digests() throws {
    let file = try #require(Self.file)
    var lines = ["\("tamring".hashValue)"]
    for seed in 0..<UInt64(200) {
      let world = World(seed: seed, traced: true)
      world.simulate()
      lines.append("\(seed) \(world.traceDigest)")
    }
    try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
  }
}
