// The options of the commands that use workers.
import ArgumentParser
import Foundation
import Messaging
import Recipes
import Shared

/// Where workers run, how they are started, and how they and the coordinator reach one another.
struct ClusterOptions: ParsableArguments {
  @Option(
    help:
      "The hosts file, one host a line: HOST [slots=N] [threads=N] [lane_threads=N] [address=A] [data=PATH] [cache=PATH] [worker=PATH]."
  )
  var workers: String

  @Option(help: "Where to listen for workers: tcp://HOST:PORT. Port 0 takes any free port.")
  var listen = "tcp://127.0.0.1:5577"

  @Option(help: "The address to give to workers, if they cannot use the one of --listen: tcp://HOST:PORT.")
  var advertise: String?

  @Flag(help: "Allow an address beyond this machine. There is no encryption: anybody on that network can take part.")
  var insecureListen = false

  @Option(help: "Who starts the workers: auto (the coordinator, here or through ssh) or none (something else).")
  var launch = "auto"

  @Option(help: "The ssh command, with options.")
  var ssh = "ssh"

  /// Binds the socket that workers connect to.
  /// - Parameter before: where this run's coordinator listened last time; used again if any port will do.
  /// - Returns: the socket, and the address that workers connect to.
  func bind(_ display: ProgressDisplay, before: String? = nil) throws -> (Socket, Endpoint) {
    let wanted = try Endpoint(listen)
    guard wanted.isLoopback || insecureListen else {
      throw SharedError(
        .badConfiguration,
        "listening at \(wanted) would let anybody on that network take part: give --insecure-listen if that is acceptable"
      )
    }
    if !wanted.isLoopback { display.line("warning: listening at \(wanted) without encryption or authentication") }
    let socket = try Connections.coordinatorDoor(try MessagingContext())
    let bound = try bind(socket, wanted, before)
    guard advertise != nil || !["*", "0.0.0.0", "::"].contains(wanted.host) else {
      throw SharedError(
        .usage,
        "listening at all addresses of \(wanted) needs --advertise tcp://HOST:PORT, the one that workers connect to")
    }
    return (socket, try advertise.map { try Endpoint($0) } ?? bound)
  }

  private func bind(_ socket: Socket, _ wanted: Endpoint, _ before: String?) throws -> Endpoint {
    if wanted.port == 0, let before, let same = try? Endpoint(before), same.host == wanted.host,
      let bound = try? socket.bind(same)
    {
      return bound
    }
    return try socket.bind(wanted)
  }

  /// One slot for each worker of the hosts file.
  func slots() throws -> [Slot] { try HostsFile(path: workers).slots }

  func fleet(_ slots: [Slot], _ recipe: Recipe, logs: String, coordinator: Endpoint) throws -> WorkerFleet {
    guard let mode = WorkerFleet.Mode(rawValue: launch) else {
      throw SharedError(.usage, "--launch is '\(launch)', expected auto or none")
    }
    return WorkerFleet(
      slots: slots, mode: mode,
      settings: LaunchSettings(
        workerProgram: LaunchSettings.workerBesideThisProgram(), logDirectory: logs, sshCommand: ssh),
      coordinator: coordinator, insecure: insecureListen)
  }
}
