// The error for frames that no correct peer can send.
import Shared

/// A failure of the exchange. Lost, duplicate and damaged frames are not failures: the link recovers from them.
public struct RingError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  public init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }
}
