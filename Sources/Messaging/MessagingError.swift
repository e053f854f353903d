// The failures of ZeroMQ and of the system calls around it, and the gateway that every call passes.
import CZMQ
import Glibc
import Shared

/// A call of this module that failed: what, where, and what to do about it.
public struct MessagingError: Failure, Equatable {
  public enum Cause: Equatable, Sendable {
    /// A call failed with this `errno`.
    case system(Int32)
    /// A peer sent a message of more than this many bytes or parts. The whole message was dropped.
    case tooLong(limit: Int)
    /// The text is not a usable endpoint or address.
    case malformed(String)
  }

  /// The call that failed, such as `zmq_bind`.
  public let operation: String
  /// The endpoint, peer or host concerned; may be empty.
  public let endpoint: String
  public let cause: Cause

  public init(_ operation: String, _ endpoint: String, _ cause: Cause) {
    self.operation = operation
    self.endpoint = endpoint
    self.cause = cause
  }

  /// Whether a router was asked to send to a peer that is not connected.
  public var isUnreachable: Bool { cause == .system(EHOSTUNREACH) }

  /// A message beyond the limits arrived and was dropped.
  public var isTooLong: Bool { if case .tooLong = cause { true } else { false } }

  /// Whether the context was shut down while this call waited.
  public var isShutdown: Bool { cause == .system(Int32(ETERM)) }

  public var status: ExitStatus {
    switch cause {
    case .system(EINVAL), .system(EADDRINUSE), .system(EADDRNOTAVAIL), .system(ENODEV), .malformed: .badConfiguration
    case .system(EHOSTUNREACH), .system(ECONNREFUSED), .system(ENETUNREACH): .unavailable
    case .system: .ioError
    case .tooLong: .badData
    }
  }

  public var description: String {
    let place = endpoint.isEmpty ? operation : "\(operation) \(endpoint)"
    switch cause {
    case .system(let code):
      let reason = unsafe String(cString: zmq_strerror(code))
      return "\(place): \(reason)\(Self.advice(code).map { "; \($0)" } ?? "")"
    case .tooLong(let limit): return "\(place): a message beyond the limit of \(limit) was dropped; look at its sender"
    case .malformed(let reason): return "\(place): \(reason)"
    }
  }

  private static func advice(_ code: Int32) -> String? {
    switch code {
    case EADDRINUSE: "another process listens there: end it, or choose another port"
    case EADDRNOTAVAIL, ENODEV: "this machine has no such address: choose one of its own"
    case EHOSTUNREACH: "the peer is not connected"
    case EMFILE: "too many open files: raise `ulimit -n`"
    default: nil
    }
  }
}

/// Performs a C call that reports failure by −1 and `errno`.
///
/// - Returns: the call's result, or nil if it would have had to wait (`EAGAIN`).
/// - Throws: `MessagingError` for every other error, except for `EINTR`, after which it retries the call.
func callUnlessBlocked<Result: SignedInteger>(
  _ operation: String, _ endpoint: String = "", _ body: () -> Result
) throws -> Result? {
  while true {
    let result = body()
    if result != -1 { return result }
    let code = errno
    switch code {
    case EINTR: continue
    case EAGAIN: return nil
    default: throw MessagingError(operation, endpoint, .system(code))
    }
  }
}

/// The same for a call that never blocks; `EAGAIN` is then an error like any other.
@discardableResult
func call<Result: SignedInteger>(
  _ operation: String, _ endpoint: String = "", _ body: () -> Result
) throws -> Result {
  guard let result = try callUnlessBlocked(operation, endpoint, body) else {
    throw MessagingError(operation, endpoint, .system(EAGAIN))
  }
  return result
}
