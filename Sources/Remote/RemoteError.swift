// The module's error: what cannot be read over the network, and whether it may be readable later.
import Glibc
import Shared

/// A file on the web that cannot be read.
public struct RemoteError: Failure, Equatable {
  public enum Kind: Sendable {
    /// The server or the network fails at the moment: no property of the file.
    case passing
    /// The server answers that there is no such file, or none for us.
    case missing
    /// Trying again helps nothing: an untrusted certificate, no room in the cache.
    case refused
  }

  public let kind: Kind
  /// Without passwords and queries.
  public let address: String
  public let cause: String
  private let remedy: String
  /// The server's answer, if that is the cause.
  let httpStatus: Int?
  /// How long the server asks us to wait.
  let retryAfter: Duration?
  /// Whether the server sends whole files only.
  private(set) var hasNoRanges = false

  init(
    _ kind: Kind, _ address: String, _ cause: String, _ remedy: String = "", httpStatus: Int? = nil,
    retryAfter: Duration? = nil
  ) {
    self.kind = kind
    self.address = shownPath(address)
    self.cause = cause
    self.remedy = remedy
    self.httpStatus = httpStatus
    self.retryAfter = retryAfter
  }

  static func withoutRanges(_ address: String) -> RemoteError {
    var error = RemoteError(.refused, address, "the server sends whole files only")
    error.hasNoRanges = true
    return error
  }

  public var isPassing: Bool { kind == .passing }

  public var status: ExitStatus { kind == .refused ? .badConfiguration : .ioError }

  /// The system's number that comes nearest, for those who tell passing errors by it.
  public var number: Int32 { EIO }

  /// What follows the path in a message that names it already.
  public var text: String { "\(cause); \(advice)" }

  public var description: String { "\(address): cannot be read (\(cause)); \(advice)" }

  private var advice: String {
    if !remedy.isEmpty { return remedy }
    switch kind {
    case .passing: return "this may pass: try again, or look at the server and the network"
    case .missing: return "check the address, and who may read it"
    case .refused: return "check the address"
    }
  }
}
