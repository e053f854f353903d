// A socket that others connect to: who sent a message is checked here, once, before anybody looks at it.
import Foundation
import Shared
import Wire

/// A router at which workers arrive. A message counts only if the name of its connection is canonical and, in a run with
/// keys, belongs to the holder of the key that the connection was opened with, and that key is still admitted.
public final class Door {
  public let socket: Socket
  /// Whom it lets in; nil in a run without keys.
  public let admitted: AdmittedKeys?

  init(_ messaging: MessagingContext, _ options: Socket.Options) throws {
    var options = options
    options.protection = messaging.security.server
    socket = try Socket(messaging, .router, options)
    admitted = messaging.security.admitted
  }

  /// The next message that is here, without waiting.
  /// - Parameter refuse: called with the reason for each message that does not count.
  /// - Returns: whose it is, the key by which it is known, and its parts after the routing id; nil if there is none.
  public func receive(refuse: (String) throws -> Void) throws -> (name: ConnectionName, key: PublicKey?, parts: [Data])?
  {
    while true {
      do {
        guard let (parts, user) = try socket.receiveWithUser(dontWait: true) else { return nil }
        guard let name = parts.first.flatMap(ConnectionName.init) else {
          try refuse("its sender's routing id is no worker's")
          continue
        }
        guard let admitted else { return (name, nil, Array(parts.dropFirst())) }
        guard let key = user.flatMap(PublicKey.init), admitted.admits(key, as: name.worker) else {
          try refuse("its sender's key is not that of \(name.worker)")
          continue
        }
        return (name, key, Array(parts.dropFirst()))
      } catch let error as MessagingError where error.isTooLong { try refuse("\(error)") }
    }
  }

  /// Sends a message to a connection. It is dropped if that is gone, or does not take it now.
  /// - Parameter pieces: further parts, of which long ones are not copied.
  public func send(_ head: [Data], lending pieces: [LentBytes] = [], to name: ConnectionName) throws {
    do { _ = try socket.send([name.bytes] + head, lending: pieces, dontWait: true) } catch let error as MessagingError
      where error.isUnreachable
    {}
  }
}
