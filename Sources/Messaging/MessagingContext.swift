// The ZeroMQ context: background threads, and the namespace of in-process endpoints.
import CZMQ
import Glibc

/// A ZeroMQ context. A process needs one. In a run with keys its sockets are encrypted, and let in whom it admits.
///
/// Sendable because ZeroMQ's contexts, unlike its sockets, are thread-safe. Each socket keeps its context alive, and
/// the context ends with its last socket.
@safe
public final class MessagingContext: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  let security: Security

  /// - Throws: `MessagingError` if the process may open no more files.
  public init(_ security: Security = .none) throws {
    guard let created = unsafe zmq_ctx_new() else { throw MessagingError("zmq_ctx_new", "", .system(errno)) }
    unsafe handle = created
    self.security = security
    if let admitted = security.admitted { try unsafe Authenticator.start(handle, admitted) }
  }

  deinit {
    // The authenticator's socket closes when it hears of this; the others are closed already.
    _ = unsafe zmq_ctx_shutdown(handle)
    while unsafe zmq_ctx_term(handle) == -1 && errno == EINTR {}
  }

  /// Ends every wait in every socket of the context: their calls throw an error whose `isShutdown` is true.
  public func shutdown() { _ = unsafe zmq_ctx_shutdown(handle) }
}
