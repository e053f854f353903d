// What happens to a socket's connections, as ZeroMQ reports it.
import CZMQ
import Foundation
import Synchronization

private let monitorNumber = Atomic<UInt64>(0)

/// The events of a socket's connections. It belongs to the socket's thread.
final class SocketMonitor {
  /// Readable when something has happened.
  let socket: Socket
  private let watched: Socket

  /// - Parameter events: the wanted ones, `ZMQ_EVENT_…`.
  /// - Throws: `MessagingError` if there are too many sockets.
  init(_ context: MessagingContext, _ watched: Socket, _ events: Int32) throws {
    let place = "inproc://monitor-\(monitorNumber.add(1, ordering: .relaxed).newValue)"
    self.watched = watched
    try call("zmq_socket_monitor", watched.place) { unsafe zmq_socket_monitor(watched.handle, place, events) }
    socket = try Socket(context, .pair)
    try call("connect to", place) { unsafe zmq_connect(socket.handle, place) }
  }

  deinit { _ = unsafe zmq_socket_monitor(watched.handle, nil, 0) }

  /// The next event that is here; nil if there is none.
  func next() throws -> Int32? {
    // The first part: the event's number, in 16 bits, and a value that is not needed here.
    guard let part = try socket.receive(dontWait: true)?.first, part.count >= 2 else { return nil }
    return Int32(part[part.startIndex]) | Int32(part[part.startIndex + 1]) << 8
  }
}
