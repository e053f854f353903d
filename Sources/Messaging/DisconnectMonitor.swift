// Detects closed connections. The kernel reports the end of the process at the other side at once.
import CZMQ
import Synchronization

private let monitorNumber = Atomic<UInt64>(0)

/// Watches a socket's connections. It belongs to the socket's thread.
public final class DisconnectMonitor {
  /// Readable when a connection was closed.
  public let socket: Socket
  private let watched: Socket

  /// - Throws: `MessagingError` if there are too many sockets.
  public init(_ context: MessagingContext, _ watched: Socket) throws {
    let place = "inproc://monitor-\(monitorNumber.add(1, ordering: .relaxed).newValue)"
    self.watched = watched
    try call("zmq_socket_monitor", watched.place) {
      unsafe zmq_socket_monitor(watched.handle, place, ZMQ_EVENT_DISCONNECTED)
    }
    socket = try Socket(context, .pair)
    try call("connect to", place) { unsafe zmq_connect(socket.handle, place) }
  }

  deinit { _ = unsafe zmq_socket_monitor(watched.handle, nil, 0) }

  /// Whether a connection was closed since the last call.
  public func take() -> Bool {
    var closed = false
    while let event = try? socket.receive(dontWait: true) { closed = closed || !event.isEmpty }
    return closed
  }
}
