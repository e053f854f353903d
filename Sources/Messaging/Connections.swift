// The one place that makes the sockets of a run, with the options of each. None hands a routing id over to a new
// connection: each connection has a name of its own.
import Shared
import Wire

/// The sockets of a run. Each must be used by one thread only.
public enum Connections {
  /// Where workers reach the coordinator. Bind it.
  /// - Throws: `MessagingError`, as all of these.
  public static func coordinatorDoor(_ messaging: MessagingContext) throws -> Door {
    var options = Socket.Options()
    // Farewells go out before the process ends.
    options.linger = .milliseconds(500)
    options.maximumPartBytes = ControlCodec.headerLimit
    return try Door(messaging, options)
  }

  /// Where its peers reach a worker. Bind it.
  public static func peerDoor(_ messaging: MessagingContext) throws -> Door {
    var options = Socket.Options()
    options.maximumPartBytes = peerPartBytes
    return try Door(messaging, options)
  }

  /// More than any part between workers has: a frame, or a piece of a blob.
  static let peerPartBytes = 2 << 20

  /// A worker's connection to `endpoint`, of this name.
  /// - Parameter key: of the process that listens there; nil in a run without keys.
  public static func connect(
    _ messaging: MessagingContext, _ name: ConnectionName, to endpoint: Endpoint, key: PublicKey?
  ) throws -> Socket {
    let socket = try named(messaging, name, key)
    try socket.connect(endpoint)
    return socket
  }

  /// Like `connect`, with a monitor that notices when the other side closes the connection.
  public static func monitored(
    _ messaging: MessagingContext, _ name: ConnectionName, to endpoint: Endpoint, key: PublicKey?
  ) throws -> (socket: Socket, monitor: DisconnectMonitor) {
    let socket = try named(messaging, name, key)
    let monitor = try DisconnectMonitor(messaging, socket)
    try socket.connect(endpoint)
    return (socket, monitor)
  }

  private static func named(_ messaging: MessagingContext, _ name: ConnectionName, _ key: PublicKey?) throws -> Socket {
    var options = Socket.Options()
    options.routingID = Array(name.bytes)
    options.protection = try messaging.security.client(of: key)
    switch name.channel {
    case .control:
      options.linger = .milliseconds(500)
      options.maximumPartBytes = ControlCodec.headerLimit
    case .heartbeat:
      options.sendHighWater = 4
      options.maximumPartBytes = ControlCodec.headerLimit
    // The ring resends what is lost: no more than its window ever needs to queue.
    case .ring:
      options.sendHighWater = 64
      options.maximumPartBytes = peerPartBytes
    case .blobs: options.maximumPartBytes = peerPartBytes
    }
    return try Socket(messaging, .dealer, options)
  }
}
