// The failures of writing the demo's clips.
import Shared

/// Demo data that cannot be written: a full disk, a folder that holds something else, a missing encoder.
public struct DemoDataError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  public init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }
}
