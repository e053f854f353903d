// Tries whether a door is locked, before anything is entrusted to it.
import CZMQ
import Glibc
import Shared
import Wire

/// The attempts of somebody who has no business here. A run does not start where one of them succeeds.
public enum DoorCheck {
  /// Tries the door at `endpoint` with a stranger's key and in plain text, and whether a connection gets in while
  /// no authenticator answers.
  /// - Parameter key: of the process that listens there.
  /// - Throws: `SharedError(.failed)` if somebody gets in; `MessagingError`.
  public static func run(_ endpoint: Endpoint, key: PublicKey) throws {
    try requireFitVersion()
    let messaging = try MessagingContext()
    try refuse("a stranger's key", messaging, .client(KeyPair(), of: key), at: endpoint)
    try refuse("plain text", messaging, .none, at: endpoint)
    try refuseUnanswered()
  }

  /// Older ones have known holes in CURVE's handshake.
  private static func requireFitVersion() throws {
    var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
    unsafe zmq_version(&major, &minor, &patch)
    guard (major, minor, patch) >= (4, 3, 3) else {
      throw SharedError(
        .badConfiguration, "libzmq \(major).\(minor).\(patch) cannot be trusted on a network; install 4.3.3 or later")
    }
    guard unsafe zmq_has("curve") == 1 else {
      throw SharedError(
        .badConfiguration, "this libzmq was built without CURVE; install Debian's libzmq5, or another with it")
    }
  }

  private static func refuse(
    _ what: String, _ messaging: MessagingContext, _ protection: Socket.Protection, at endpoint: Endpoint
  ) throws {
    var options = Socket.Options()
    options.protection = protection
    let socket = try Socket(messaging, .dealer, options)
    let monitor = try HandshakeMonitor(messaging, socket)
    try socket.connect(endpoint)
    switch try monitor.outcome(within: .seconds(10)) {
    case false?: return
    case true?:
      throw SharedError(.failed, "the door at \(endpoint) lets in \(what): the run does not start; report this")
    case nil:
      throw SharedError(.unavailable, "the door at \(endpoint) did not answer in 10 s when it was tried with \(what)")
    }
  }

  /// A door whose authenticator is there and says nothing must stay shut, also for a key that it would know.
  private static func refuseUnanswered() throws {
    let messaging = try MessagingContext()
    guard let silent = unsafe zmq_socket(messaging.handle, ZMQ_ROUTER) else {
      throw MessagingError("zmq_socket", "", .system(errno))
    }
    defer { _ = unsafe zmq_close(silent) }
    try call("listen at", "the authenticator") { unsafe zmq_bind(silent, "inproc://zeromq.zap.01") }
    let own = KeyPair()
    var options = Socket.Options()
    options.protection = .server(own)
    options.handshake = .milliseconds(200)
    let door = try Socket(messaging, .router, options)
    let endpoint = try door.bind(.tcp(host: "127.0.0.1", port: 0))
    try withExtendedLifetime(door) {
      try refuse("a key, while nobody checks keys", messaging, .client(KeyPair(), of: own.publicKey), at: endpoint)
    }
  }
}

/// Says how a connection's handshake ended.
struct HandshakeMonitor {
  private let monitor: SocketMonitor

  init(_ messaging: MessagingContext, _ watched: Socket) throws {
    monitor = try SocketMonitor(
      messaging, watched,
      ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
        | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED)
  }

  /// - Returns: whether the connection was let in; nil if nothing was heard in this time.
  func outcome(within time: Duration) throws -> Bool? {
    _ = try Poller.wait(for: [PollItem(monitor.socket)], timeout: time)
    return try monitor.next().map { $0 == ZMQ_EVENT_HANDSHAKE_SUCCEEDED }
  }
}
