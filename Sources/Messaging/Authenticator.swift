// Answers ZeroMQ's question whether the key of a new connection is admitted (the ZAP protocol, ZeroMQ's RFC 27).
import CZMQ
import Glibc
import Shared
import Wire

/// The thread that lets connections in, or not, for all sockets of a context.
///
/// Without it, CURVE would let in whoever knows the server's public key. It is bound before any other socket of the
/// context is made, and ends with the context.
enum Authenticator {
  /// The domain of all sockets that ask.
  static let domain = "tamring"
  private static let version = Array("1.0".utf8)

  /// - Throws: `MessagingError` if there are too many sockets, or the context has an authenticator already.
  static func start(_ context: UnsafeMutableRawPointer, _ admitted: AdmittedKeys) throws {
    // The socket must not keep the context: that would never end.
    guard let socket = unsafe zmq_socket(context, ZMQ_ROUTER) else {
      throw MessagingError("zmq_socket", "", .system(errno))
    }
    do { try call("listen at", "the authenticator") { unsafe zmq_bind(socket, "inproc://zeromq.zap.01") } } catch {
      _ = unsafe zmq_close(socket)
      throw error
    }
    let handle = UInt(bitPattern: socket)
    startThread(named: "authenticator") {
      guard let socket = unsafe UnsafeMutableRawPointer(bitPattern: handle) else { return }
      while let request = unsafe receive(socket) {
        if let reply = reply(to: request, admitted) { unsafe send(reply, socket) }
      }
      _ = unsafe zmq_close(socket)
    }
  }

  /// The parts of a reply; nil for what is no request.
  private static func reply(to request: [[UInt8]], _ admitted: AdmittedKeys) -> [[UInt8]]? {
    // Routing id, an empty part, version, request id, domain, address, routing id of the peer, mechanism, key.
    guard request.count >= 8, request[1].isEmpty, request[2] == version else { return nil }
    let key = request.count == 9 ? PublicKey(bytes: request[8]) : nil
    let isAdmitted =
      request[4] == Array(domain.utf8) && request[7] == Array("CURVE".utf8) && key.map(admitted.admits) ?? false
    // "300" closes the connection, and the other side tries again: it may be admitted later. What stands for the key is
    // looked up for each message, since it may be revoked.
    let answer: [String] = isAdmitted ? ["200", "", key?.description ?? "", ""] : ["300", "not admitted", "", ""]
    return [request[0], [], version, request[3]] + answer.map { Array($0.utf8) }
  }

  /// - Returns: nil when the context ends.
  private static func receive(_ socket: UnsafeMutableRawPointer) -> [[UInt8]]? {
    var parts: [[UInt8]] = []
    var part = [UInt8](repeating: 0, count: 512)
    while true {
      let count = unsafe zmq_recv(socket, &part, part.count, 0)
      if count < 0 {
        guard errno == EINTR else { return nil }
        continue
      }
      parts.append(Array(part.prefix(Int(count))))
      var more: Int32 = 0
      var size = MemoryLayout<Int32>.size
      guard unsafe zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 else { return nil }
      if more == 0 { return parts }
    }
  }

  private static func send(_ parts: [[UInt8]], _ socket: UnsafeMutableRawPointer) {
    for (place, part) in parts.enumerated() {
      _ = unsafe zmq_send(socket, part, part.count, place == parts.count - 1 ? 0 : ZMQ_SNDMORE)
    }
  }
}
