// A blob on its way into a file instead of memory.
import Foundation
import Glibc
import Shared

/// A file without a name that takes a blob's bytes as they come. It is gone when nobody uses it any more, however this
/// process ends.
public final class BlobFile {
  public let descriptor: Int32
  public private(set) var count = 0
  private let folder: String

  /// - Throws: `SharedError(.ioError)` where the folder takes no file.
  public init(in folder: String) throws {
    self.folder = folder
    var name = Array("\(folder)/.tamring-XXXXXX".utf8CString)
    descriptor = unsafe mkstemp(&name)
    guard descriptor >= 0 else { throw BlobFile.failed(folder) }
    unsafe unlink(&name)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }

  deinit { close(descriptor) }

  func append(_ data: Data) throws {
    try unsafe data.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        let written = unsafe write(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
        if written < 0, errno == EINTR { continue }
        if written == 0 { errno = EIO }
        guard written > 0 else { throw BlobFile.failed(folder) }
        done += written
      }
    }
    count += data.count
  }

  private static func failed(_ folder: String) -> SharedError {
    SharedError(
      .ioError,
      "\(folder): the run's index cannot be stored there (\(unsafe String(cString: strerror(errno)))); free some space, or "
        + "name another folder in TMPDIR")
  }
}
