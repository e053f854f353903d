// Detects closed connections. The kernel reports the end of the process at the other side at once.
import CZMQ

/// Watches a socket's connections. It belongs to the socket's thread.
public final class DisconnectMonitor {
  private let monitor: SocketMonitor
  private var isOpen = false

  /// Readable when a connection was let in or closed.
  public var socket: Socket { monitor.socket }

  /// - Throws: `MessagingError` if there are too many sockets.
  public init(_ context: MessagingContext, _ watched: Socket) throws {
    monitor = try SocketMonitor(context, watched, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
  }

  /// Whether a connection was closed since the last call. One that was never let in does not count.
  public func take() -> Bool {
    var closed = false
    while let event = try? monitor.next() {
      if event == ZMQ_EVENT_DISCONNECTED { closed = closed || isOpen }
      isOpen = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED
    }
    return closed
  }
}
