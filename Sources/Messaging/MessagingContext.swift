// The ZeroMQ context: the background threads and the name space of in-process endpoints.
import CZMQ
import Glibc

/// A ZeroMQ context; one for a process is enough.
///
/// Sendable because a context may be used from every thread, as ZeroMQ promises; sockets may not. Each socket keeps
/// its context alive; when the last of them is gone, the context ends.
@safe
public final class MessagingContext: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer

  /// - Throws: `MessagingError` when the process may open no more files.
  public init() throws {
    guard let created = unsafe zmq_ctx_new() else { throw MessagingError("zmq_ctx_new", "", .system(errno)) }
    unsafe handle = created
  }

  deinit {
    while unsafe zmq_ctx_term(handle) == -1 && errno == EINTR {}
  }

  /// Ends every wait in every socket of the context: their calls throw an error whose `isShutdown` is true.
  public func shutdown() { _ = unsafe zmq_ctx_shutdown(handle) }
}
