// What the ring reports when a peer sends what no correct peer can send.
import Shared

/// A failure of the exchange. Lost, repeated and damaged frames are not failures: the link mends them.
public struct RingError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  public init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }
}
