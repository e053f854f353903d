// The one place that makes the sockets of a run, with the options of each. None hands a routing id over to a new
// connection: each connection has a name of its own.
import Shared

/// The sockets of a run. Each must be used by one thread only.
public enum Connections {
  /// Where workers reach the coordinator. Bind it.
  /// - Throws: `MessagingError`, as all of these.
  public static func coordinatorDoor(_ messaging: MessagingContext) throws -> Socket {
    var options = Socket.Options()
    // Farewells go out before the process ends.
    options.linger = .milliseconds(500)
    return try Socket(messaging, .router, options)
  }

  /// Where its peers reach a worker. Bind it.
  public static func peerDoor(_ messaging: MessagingContext) throws -> Socket { try Socket(messaging, .router) }

  /// A worker's connection to `endpoint`, of this name.
  public static func connect(_ messaging: MessagingContext, _ name: ConnectionName, to endpoint: Endpoint) throws
    -> Socket
  {
    let socket = try named(messaging, name)
    try socket.connect(endpoint)
    return socket
  }

  /// Like `connect`, with a monitor that notices when the other side closes the connection.
  public static func monitored(_ messaging: MessagingContext, _ name: ConnectionName, to endpoint: Endpoint) throws
    -> (socket: Socket, monitor: DisconnectMonitor)
  {
    let socket = try named(messaging, name)
    let monitor = try DisconnectMonitor(messaging, socket)
    try socket.connect(endpoint)
    return (socket, monitor)
  }

  /// A connection for fetching blobs from a peer. It has no name of its own.
  public static func forBlobs(_ messaging: MessagingContext, to endpoint: Endpoint) throws -> Socket {
    let socket = try Socket(messaging, .dealer)
    try socket.connect(endpoint)
    return socket
  }

  private static func named(_ messaging: MessagingContext, _ name: ConnectionName) throws -> Socket {
    var options = Socket.Options()
    options.routingID = Array(name.bytes)
    switch name.channel {
    case .control: options.linger = .milliseconds(500)
    case .heartbeat: options.sendHighWater = 4
    // The ring resends what is lost: no more than its window ever needs to queue.
    case .ring: options.sendHighWater = 64
    }
    return try Socket(messaging, .dealer, options)
  }
}
