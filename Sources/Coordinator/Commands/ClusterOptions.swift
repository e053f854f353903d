// The options of the commands that use workers.
import ArgumentParser
import CLinux
import Foundation
import Messaging
import Recipes
import Shared

/// Where workers run, how they are started, and how they and the coordinator reach one another.
struct ClusterOptions: ParsableArguments {
  @Option(
    help:
      "The hosts file, one host a line: HOST[:SLOTS] [slots=N] [threads=N] [lane_threads=N] [user=NAME] [port=N] [address=A] [data=PATH] [cache=PATH] [worker=PATH]."
  )
  var workers: String?

  @Option(help: "The hosts instead of a file: HOST[:SLOTS],HOST[:SLOTS]…")
  var host: String?

  @Option(help: "Where to listen for workers: tcp://HOST:PORT. Port 0 takes any free port.")
  var listen = "tcp://127.0.0.1:5577"

  @Option(help: "The address to give to workers, if they cannot use the one of --listen: tcp://HOST:PORT.")
  var advertise: String?

  @Option(
    help:
      "A folder of keys that `coordinator keygen` made, for workers that something else starts. Default: TAMRING_KEYS, else the folder keys of the run directory."
  )
  var keys: String?

  @Flag(help: "Use no keys and no encryption: anybody who reaches this port can take part, and read everything.")
  var insecure = false

  @Option(help: "Who starts the workers: auto (the coordinator, here or through ssh) or none (something else).")
  var launch = "auto"

  @Option(help: "The ssh command, with options.")
  var ssh = "ssh"

  /// Where workers arrive.
  struct Entrance {
    let door: Door
    /// Nil in a run without keys.
    let keys: RunKeys?
    /// The address that workers connect to.
    let endpoint: Endpoint
  }

  /// Binds the socket that workers connect to, and tries whether it is locked.
  /// - Parameters:
  ///   - before: where this run's coordinator listened last time; used again if any port will do.
  ///   - files: the run's own keys, made if they are not there.
  func open(_ display: ProgressDisplay, _ slots: [Slot], before: String? = nil, keys files: KeyFiles) throws -> Entrance
  {
    raiseFileLimit()
    let wanted = try Endpoint(listen)
    let keys = try runKeys(slots, files)
    if keys == nil {
      display.line("warning: --insecure: whoever reaches \(wanted) can take part, change the run, and read everything")
    }
    let security = keys.map { Security.keys(own: $0.own, admitted: $0.admitted) } ?? .none
    let door = try Connections.coordinatorDoor(try MessagingContext(security))
    let bound = try bind(door.socket, wanted, before)
    if let keys { try DoorCheck.run(bound.onThisMachine, key: keys.own.publicKey) }
    guard advertise != nil || !["*", "0.0.0.0", "::"].contains(wanted.host) else {
      throw SharedError(
        .usage,
        "listening at all addresses of \(wanted) needs --advertise tcp://HOST:PORT, the one that workers connect to")
    }
    return Entrance(door: door, keys: keys, endpoint: try advertise.map { try Endpoint($0) } ?? bound)
  }

  /// The folder of keys that the user names.
  private var givenKeys: String? { keys ?? ProcessInfo.processInfo.environment["TAMRING_KEYS"] }

  /// What whoever starts the workers has to know.
  func invitation(_ slots: [Slot], _ entrance: Entrance, _ files: KeyFiles) -> String {
    let options = entrance.keys == nil ? "--insecure" : "--keys \(givenKeys ?? files.folder)"
    return
      "waiting for \(slots.count) workers at \(entrance.endpoint): worker --rank N --coordinator \(entrance.endpoint) "
      + options
  }

  /// - Returns: nil where the user wants none.
  private func runKeys(_ slots: [Slot], _ files: KeyFiles) throws -> RunKeys? {
    guard !insecure else {
      guard givenKeys == nil else {
        throw SharedError(.usage, "--insecure and --keys exclude one another: give one of them")
      }
      return nil
    }
    forbidDumps()
    let folder = givenKeys.map { KeyFiles($0) } ?? files
    if givenKeys == nil, !folder.exist { try folder.make() }
    return try RunKeys(folder, admitting: launch == WorkerFleet.Mode.none.rawValue ? slots.map(\.rank) : [])
  }

  private func bind(_ socket: Socket, _ wanted: Endpoint, _ before: String?) throws -> Endpoint {
    if wanted.port == 0, let before = before.flatMap({ try? Endpoint($0) }),
      let bound = try? socket.bind(.tcp(host: wanted.host, port: before.port))
    {
      return bound
    }
    return try socket.bind(wanted)
  }

  /// One slot for each worker of the hosts file.
  func slots() throws -> [Slot] {
    switch (workers, host) {
    case (let path?, nil): try HostsFile(path: path).slots
    case (nil, let list?): try HostsFile(list: list).slots
    default: throw SharedError(.usage, "which hosts? give either --workers FILE or --host HOST:SLOTS,…")
    }
  }

  func fleet(_ slots: [Slot], _ recipe: Recipe, logs: String, coordinator: Endpoint) throws -> WorkerFleet {
    guard let mode = WorkerFleet.Mode(rawValue: launch) else {
      throw SharedError(.usage, "--launch is '\(launch)', expected auto or none")
    }
    return WorkerFleet(
      slots: slots, mode: mode,
      settings: LaunchSettings(
        workerProgram: LaunchSettings.workerBesideThisProgram(), logDirectory: logs, sshCommand: ssh),
      coordinator: coordinator)
  }
}
