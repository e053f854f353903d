// Detects closed connections. The kernel reports the end of the process at the other side at once.
import CZMQ
import Synchronization

private let monitorNumber = Atomic<UInt64>(0)

/// Watches a socket's connections. It belongs to the socket's thread.
public final class DisconnectMonitor {
  /// Readable when a connection was closed.
  public let socket: Socket
  private let watched: Socket
  private var isOpen = false

  /// - Throws: `MessagingError` if there are too many sockets.
  public init(_ context: MessagingContext, _ watched: Socket) throws {
    let place = "inproc://monitor-\(monitorNumber.add(1, ordering: .relaxed).newValue)"
    self.watched = watched
    try call("zmq_socket_monitor", watched.place) {
      unsafe zmq_socket_monitor(watched.handle, place, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
    }
    socket = try Socket(context, .pair)
    try call("connect to", place) { unsafe zmq_connect(socket.handle, place) }
  }

  deinit { _ = unsafe zmq_socket_monitor(watched.handle, nil, 0) }

  /// Whether a connection was closed since the last call. One that was never let in does not count.
  public func take() -> Bool {
    var closed = false
    while let event = (try? socket.receive(dontWait: true))?.first.flatMap(ZeroMQEvent.init) {
      if event.number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED { isOpen = true }
      if event.number == ZMQ_EVENT_DISCONNECTED {
        closed = closed || isOpen
        isOpen = false
      }
    }
    return closed
  }
}
