// Real coordinators and workers for the tests: processes beside the test bundle, real video files, a temporary folder.
import Foundation
import GRDB
import Shared
import TestSupport

/// A folder with a little demo data and a recipe, in which commands are run.
final class LocalCluster {
  let folder: TemporaryFolder

  static let recipe = """
    name: small
    model: {depth: 50, width: 8, groups: 4, input_size: 32, dropout: 0.3, classes: 6}
    optimizer: {learning_rate: 0.05}
    schedule: {epochs: 12, warmup_epochs: 1}
    batch: {lanes: 5, clips_per_lane: 2}
    data: {path: data, flip: false}
    validation: {every_epochs: 0}
    checkpoint: {every_steps: 7, keep: 2}
    faults: {evict_seconds: 3}

    """

  /// - Parameter clips: of the training list; 47 leave the last step of an epoch with a lane half full and one empty.
  init(clips: Int = 47, validation: Int = 9) throws {
    folder = try TemporaryFolder()
    try folder.write(Self.recipe, to: "small.yaml")
    let made = try run(
      Self.program("coordinator"),
      ["demo-data", folder.path("data"), "--train", "\(clips)", "--validation", "\(validation)"])
    guard made.status == 0 else { throw SharedError(.failed, made.output) }
  }

  /// The binary that was built with this test bundle.
  static func program(_ name: String) -> String {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    var places = [URL(fileURLWithPath: own).deletingLastPathComponent()]
    places += CommandLine.arguments.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
    return places.map { $0.appendingPathComponent(name).path }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    } ?? name
  }

  /// The arguments of a training of `name` with this hosts file.
  func training(_ name: String, hosts: String, _ more: [String] = []) throws -> [String] {
    try folder.write(hosts + "\n", to: "\(name).hosts")
    return [
      "train", "--workers", folder.path("\(name).hosts"), "--recipe", folder.path("small.yaml"), "--run-dir",
      folder.path(name), "--listen", "tcp://127.0.0.1:0",
    ] + more
  }

  func train(_ name: String, hosts: String, _ more: [String] = []) throws -> Finished {
    try run(Self.program("coordinator"), try training(name, hosts: hosts, more))
  }

  func run(_ program: String, _ arguments: [String]) throws -> Finished {
    let process = try RunningProcess(program, arguments)
    return process.finish()
  }

  /// The names of a run's checkpoints, oldest first.
  func checkpoints(_ name: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path("\(name)/checkpoints"))
      .filter { $0.hasPrefix("step-") }.sorted()
  }

  /// SHA-256 of the newest checkpoint's files, model first.
  func weights(_ name: String) throws -> [String] {
    let last = try checkpoints(name).last ?? "none"
    return try ["model.safetensors", "trainer.safetensors"].map { file in
      let path = folder.path("\(name)/checkpoints/\(last)/\(file)")
      return "\(last) " + sha256Hex(try Data(contentsOf: URL(fileURLWithPath: path)))
    }
  }

  func query<Value: DatabaseValueConvertible>(_ name: String, _ sql: String, as: Value.Type) throws -> [Value] {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(5)
    let database = try DatabaseQueue(path: folder.path("\(name)/run.db"), configuration: configuration)
    return try database.read { try Value.fetchAll($0, sql: sql) }
  }

  /// Does something to a run's journal behind its back.
  func execute(_ name: String, _ sql: String) throws {
    let database = try DatabaseQueue(path: folder.path("\(name)/run.db"))
    try database.write { try $0.execute(sql: sql) }
    try database.close()
  }

  /// The two audits of a run, in the same words.
  func audits(_ name: String) throws -> [Finished] {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("cluster/audit.py").path
    return [
      try run(Self.program("coordinator"), ["audit", folder.path(name)]),
      try run("/usr/bin/env", ["python3", script, folder.path(name)]),
    ]
  }

  /// The query of docs/journal.md: epochs in which some clip was not consumed exactly once.
  func wrongEpochs(_ name: String) throws -> Int {
    try query(
      name,
      """
      SELECT count(*) FROM (SELECT epoch, count(*) AS n, count(DISTINCT clip) AS d FROM consumed GROUP BY epoch)
      WHERE n != (SELECT count(*) FROM clips) OR d != n
      """, as: Int.self)[0]
  }
}
