// What can go wrong with checkpoints, in one line each.
import Foundation
import Shared

/// A failure of the disk, or a checkpoint that does not hold what it should.
public struct CheckpointError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String
  /// The file or directory at fault.
  public let path: String
  /// The system call that failed; nil where the contents are at fault.
  public let operation: String?
  /// Its `errno`; 0 where the contents are at fault.
  public let code: Int32

  /// A system call that failed.
  init(_ operation: String, path: String, errno code: Int32) {
    status = .ioError
    self.path = path
    self.operation = operation
    self.code = code
    description = "\(path): \(operation) failed: \(errnoText(code)); \(advice(code))"
  }

  /// Contents that are not what they should be.
  /// - Parameter what: what is wrong, and what to do about it.
  init(badData what: String, path: String) { self.init(.badData, what, path: path) }

  /// A file that is not there.
  /// - Parameter what: as above.
  init(missing what: String, path: String) { self.init(.ioError, what, path: path) }

  private init(_ status: ExitStatus, _ what: String, path: String) {
    self.status = status
    self.path = path
    operation = nil
    code = 0
    description = "\(path): \(what)"
  }
}

private func errnoText(_ code: Int32) -> String {
  guard let text = unsafe strerror(code) else { return "error \(code)" }
  return unsafe String(cString: text)
}

private func advice(_ code: Int32) -> String {
  switch code {
  case ENOSPC, EDQUOT: "free some space or move the run directory"
  case EROFS: "the file system is read-only; remount it or move the run directory"
  case EACCES, EPERM: "give this user write permission there"
  case EIO: "the disk reports errors; check it, and move the run directory to another"
  case ENOENT: "check that the path exists"
  case EMFILE, ENFILE: "raise the limit of open files"
  default: "check the disk and the path"
  }
}
