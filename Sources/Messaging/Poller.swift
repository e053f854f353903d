// Waiting for several sockets and file descriptors at once.
import CZMQ
import Glibc

/// A socket or descriptor to wait for, and the events of interest.
public struct PollItem {
  public enum Source {
    case socket(Socket)
    /// A plain file descriptor: a pipe or a system socket.
    case descriptor(Int32)
  }

  public var source: Source
  public var events: PollEvents

  public init(_ socket: Socket, _ events: PollEvents = .readable) {
    self.source = .socket(socket)
    self.events = events
  }

  public init(descriptor: Int32, _ events: PollEvents = .readable) {
    self.source = .descriptor(descriptor)
    self.events = events
  }

  public init(_ wakeup: Wakeup) { self.init(descriptor: wakeup.descriptor) }

  public init(_ signals: SignalSource) { self.init(descriptor: signals.descriptor) }
}

/// What an item is ready for.
public struct PollEvents: OptionSet, Sendable {
  public let rawValue: Int16
  public init(rawValue: Int16) { self.rawValue = rawValue }

  /// Something can be read without waiting (end of file counts).
  public static let readable = PollEvents(rawValue: Int16(ZMQ_POLLIN))
  /// Something can be sent without waiting to at least one peer; a router always reports this.
  public static let writable = PollEvents(rawValue: Int16(ZMQ_POLLOUT))
  /// The descriptor is broken; sockets never report this.
  public static let failed = PollEvents(rawValue: Int16(ZMQ_POLLERR))
}

/// Waits for several sockets and descriptors at once.
public enum Poller {
  /// Waits until at least one item is ready or the timeout is over.
  ///
  /// - Parameter timeout: nil waits for ever; zero only polls.
  /// - Returns: for each item, in order, what it is ready for; all empty after a timeout.
  /// - Throws: `MessagingError`, for example if the context was shut down.
  public static func wait(for items: [PollItem], timeout: Duration?) throws -> [PollEvents] {
    var entries = unsafe items.map { item in
      switch item.source {
      case .socket(let socket):
        unsafe zmq_pollitem_t(socket: socket.handle, fd: 0, events: item.events.rawValue, revents: 0)
      case .descriptor(let descriptor):
        unsafe zmq_pollitem_t(socket: nil, fd: descriptor, events: item.events.rawValue, revents: 0)
      }
    }
    let deadline = timeout.map { ContinuousClock.now + $0 }
    try call("zmq_poll") {
      // Recompute the timeout after each interruption by a signal.
      let left = deadline.map { Int(($0 - ContinuousClock.now).wholeMilliseconds) } ?? -1
      return unsafe zmq_poll(&entries, Int32(entries.count), left)
    }
    return unsafe entries.map { unsafe PollEvents(rawValue: $0.revents) }
  }
}
