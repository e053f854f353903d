// The error type of this module.
import Shared

/// A model that cannot be built, or tensors that do not fit it.
public struct BLVNetError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  public init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }
}
