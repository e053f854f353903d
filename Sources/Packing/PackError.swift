// The failures of this module: packs that cannot be written, read or gone on with.
import Foundation
import Glibc
import Shared

/// A pack that cannot be written, read or gone on with.
public struct PackError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  public init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }

  /// - Parameter problem: "cannot be written" and the like; the system's reason follows.
  static func system(_ problem: String, _ path: String, code: Int32 = errno) -> PackError {
    let reason = unsafe String(cString: strerror(code))
    let advice =
      code == ENOSPC || code == EDQUOT
      ? "make room, and give the same command again, which goes on where it was"
      : "see to the disk and the permissions, then give the same command again"
    return PackError(.ioError, "\(path): \(problem) (\(reason)); \(advice)")
  }
}
