// `worker --rank N`: joins a run.
import ArgumentParser
import CLinux
import Foundation
import Logging
import Messaging
import Shared
import Wire

struct JoinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join", abstract: "Joins a run, and computes lanes until the run is over.")

  @Option(help: "The slot that this worker fills. Default: RANK, SLURM_PROCID or JOB_COMPLETION_INDEX.")
  var rank: Int?

  @Option(help: "Where the coordinator listens. Default: TAMRING_COORDINATOR, else tcp://127.0.0.1:5577.")
  var coordinator: String?

  @Option(
    help: "Where to listen for other workers: HOST or HOST:PORT. Default: the local address of the coordinator's route."
  )
  var listen: String?

  @Option(help: "The address to give to other workers, if they cannot use the one of --listen: HOST:PORT.")
  var advertise: String?

  @Option(help: "Lanes to compute at once.")
  var threads = 1

  @Option(help: "Threads that share each lane. More lanes need more memory, more threads a lane hardly any.")
  var laneThreads = 1

  @Option(help: "This host's copy of the data. Default: the recipe's data.path.")
  var data: String?

  @Option(help: "The folder for shards from the web. Default: TAMRING_CACHE, else tamring in the user's cache folder.")
  var cache: String?

  @Option(
    help:
      "The folder of keys that `coordinator keygen` made. Default: TAMRING_KEYS. A coordinator that starts workers hands them their keys."
  )
  var keys: String?

  @Flag(help: "Use no keys and no encryption: anybody who reaches this worker can take part, and read everything.")
  var insecure = false

  func validate() throws {
    guard threads >= 1 && threads <= 1024 else { throw ValidationError("--threads must be from 1 to 1024") }
    guard laneThreads >= 1 && laneThreads <= 64 else { throw ValidationError("--lane-threads must be from 1 to 64") }
  }

  func run() throws {
    // A closed terminal or a broken pipe must not end a worker.
    try ignore(signals: [SIGPIPE, SIGHUP])
    raiseFileLimit()
    let environment = ProcessInfo.processInfo.environment
    let given =
      rank
      ?? ["RANK", "SLURM_PROCID", "JOB_COMPLETION_INDEX"].lazy.compactMap { environment[$0] }.compactMap { Int($0) }
      .first
    guard let rank = given, rank >= 0 else {
      throw SharedError(.usage, "no rank: give --rank N, or set RANK, SLURM_PROCID or JOB_COMPLETION_INDEX")
    }
    ProcessName.set("worker \(rank)")
    let workerKeys = try givenKeys(rank: rank, environment)
    let target = try Endpoint(coordinator ?? environment["TAMRING_COORDINATOR"] ?? "tcp://127.0.0.1:5577")
    let address = try listen ?? routeAddress(to: target.host)
    let own = try Endpoint("tcp://" + withPort(address))
    var log = Logger(label: "worker", factory: { LineLog(label: $0) })
    log[metadataKey: "rank"] = "\(rank)"
    if workerKeys == nil { log.warning("--insecure: whoever reaches \(own) can take part, and read everything") }
    let loop = try WorkerLoop(
      WorkerLoop.Settings(
        identity: WorkerIdentity(
          rank: rank, incarnation: workerKeys?.incarnation ?? .random(in: 1...UInt64.max)),
        coordinator: target, keys: workerKeys, listen: own,
        advertise: try advertise.map { try advertised($0, own) },
        threads: ComputeThreads(lanes: threads, each: laneThreads), dataPath: data, cache: cache),
      log: log)
    try loop.run()
  }

  /// - Returns: nil where the user wants none.
  private func givenKeys(rank: Int, _ environment: [String: String]) throws -> WorkerKeys? {
    guard let keys = keys ?? environment["TAMRING_KEYS"] else {
      guard insecure else {
        throw SharedError(
          .badConfiguration,
          "no keys: give --keys DIR, a folder that `coordinator keygen` made and that its coordinator has too, or the keys "
            + "folder of its run; or --insecure, and anybody can take part")
      }
      return nil
    }
    guard !insecure else { throw SharedError(.usage, "--insecure and --keys exclude one another: give one of them") }
    forbidDumps()
    if keys == "-" { return try WorkerKeys(readingFrom: STDIN_FILENO) }
    return try WorkerKeys(KeyFiles(keys), rank: rank)
  }

  private func withPort(_ address: String) -> String {
    let host = address.hasPrefix("[") ? address.drop { $0 != "]" } : Substring(address)
    if !address.hasPrefix("["), address.filter({ $0 == ":" }).count > 1 { return "[\(address)]:0" }
    return host.contains(":") ? address : address + ":0"
  }

  /// Only a fixed port can be advertised under another name.
  private func advertised(_ address: String, _ own: Endpoint) throws -> String {
    let text = "tcp://" + withPort(address)
    guard try Endpoint(text).port != 0 else {
      throw SharedError(.usage, "--advertise \(address) lacks a port: give HOST:PORT, and the same port to --listen")
    }
    return text
  }
}
