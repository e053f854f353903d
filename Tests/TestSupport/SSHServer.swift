// A real sshd on loopback, with keys and settings of its own, that lets only its own client in.
import Foundation

/// Why the server could not be started.
public struct SSHServerError: Error, CustomStringConvertible {
  public let description: String
}

/// A real ssh server for one test. Every host name that `clientConfiguration` is asked for leads to it.
public final class SSHServer {
  /// Where Debian puts the server; tests that need it are skipped where it is missing.
  public static let program = "/usr/sbin/sshd"
  public static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: program) }

  public let port: UInt16
  /// The path of a file for `ssh -F`.
  public var clientConfiguration: String { folder.path("ssh_config") }
  /// The ssh command, as a shell reads it, that reaches this server under any host name.
  public var sshCommand: String { "ssh -F '\(clientConfiguration)'" }

  private let folder: TemporaryFolder
  private let server: RunningProcess

  /// Returns when the server listens.
  public init() throws {
    folder = try TemporaryFolder()
    for key in ["host_key", "client_key"] {
      try Self.run("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder.path(key)])
    }
    try folder.write(try folder.text("client_key.pub"), to: "authorized_keys")
    if getuid() == 0 {
      // Where sshd drops its privileges; Debian's service makes it at boot.
      try FileManager.default.createDirectory(atPath: "/run/sshd", withIntermediateDirectories: true)
    }
    var started: (RunningProcess, UInt16)?
    // Between choosing a free port and listening at it, another process may take it.
    for _ in 0..<5 where started == nil { started = try Self.start(in: folder) }
    guard let (server, port) = started else { throw SSHServerError(description: "sshd found no free port") }
    self.server = server
    self.port = port
    try folder.write(
      """
      Host *
        HostName 127.0.0.1
        Port \(port)
        User \(NSUserName())
        IdentityFile "\(folder.path("client_key"))"
        IdentitiesOnly yes
        UserKnownHostsFile "\(folder.path("known_hosts"))"
        GlobalKnownHostsFile /dev/null
        HostKeyAlias tamring-test
        StrictHostKeyChecking yes
        LogLevel ERROR

      """, to: "ssh_config")
    try folder.write("tamring-test " + (try folder.text("host_key.pub")), to: "known_hosts")
  }

  deinit { stop() }

  /// Ends the server, and waits until it is gone; sessions that still run are not its children's concern.
  public func stop() {
    server.signal(SIGTERM)
    server.wait()
  }

  /// nil if the port was taken.
  private static func start(in folder: TemporaryFolder) throws -> (RunningProcess, UInt16)? {
    let port = try freePort()
    try folder.write(
      """
      Port \(port)
      ListenAddress 127.0.0.1
      HostKey \(folder.path("host_key"))
      AuthorizedKeysFile \(folder.path("authorized_keys"))
      PidFile none
      StrictModes no
      UsePAM no
      PasswordAuthentication no
      KbdInteractiveAuthentication no
      PermitRootLogin prohibit-password

      """, to: "sshd_config")
    let server = try RunningProcess(program, ["-D", "-e", "-f", folder.path("sshd_config")])
    guard server.wait(for: "Server listening on") else {
      if server.output.contains("Address already in use") { return nil }
      throw SSHServerError(description: "sshd did not start: \(server.output)")
    }
    return (server, port)
  }

  private static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let found = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard descriptor >= 0, found else { throw SSHServerError(description: "no free port on loopback") }
    return UInt16(bigEndian: address.sin_port)
  }

  private static func run(_ program: String, _ arguments: [String]) throws {
    let finished = try RunningProcess(program, arguments).finish()
    guard finished.status == 0 else {
      throw SSHServerError(description: "\(program) ended with \(finished.status): \(finished.output)")
    }
  }
}
