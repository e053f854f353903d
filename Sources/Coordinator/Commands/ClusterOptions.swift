// The options of commands that use workers.
import ArgumentParser
import Foundation
import Messaging
import Recipes
import Shared

/// Where workers are, and how they and the coordinator find one another.
struct ClusterOptions: ParsableArguments {
  @Option(help: "The hosts file: HOST [slots=N] [threads=N] [lane_threads=N] [address=A] [data=PATH], one host a line.")
  var workers: String

  @Option(help: "Where to listen for workers, as tcp://HOST:PORT; port 0 for any free one.")
  var listen = "tcp://127.0.0.1:5577"

  @Option(help: "The address that workers are told, as tcp://HOST:PORT, if it is not the one listened at.")
  var advertise: String?

  @Flag(help: "Listen beyond this machine without encryption. Anybody on that network can then take part.")
  var insecureListen = false

  @Option(help: "How workers are started: auto (here, or through ssh) or none (by somebody else).")
  var launch = "auto"

  @Option(help: "The ssh command with its options.")
  var ssh = "ssh"

  /// Binds the socket that workers connect to.
  /// - Parameter before: where this run's coordinator listened before; taken again where any port will do.
  /// - Returns: the socket, and what workers are told to connect to.
  func bind(_ display: ProgressDisplay, before: String? = nil) throws -> (Socket, Endpoint) {
    let wanted = try Endpoint(listen)
    guard wanted.isLoopback || insecureListen else {
      throw SharedError(
        .badConfiguration,
        "listening at \(wanted) would let anybody on that network take part: give --insecure-listen if that is acceptable"
      )
    }
    if !wanted.isLoopback { display.line("warning: listening at \(wanted) without encryption or authentication") }
    var options = Socket.Options()
    options.linger = .milliseconds(500)
    let socket = try Socket(try MessagingContext(), .router, options)
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

  /// The places that the hosts file names.
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
