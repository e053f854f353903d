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
    descriptor = openNamelessFile(in: folder)
    guard descriptor >= 0 else { throw BlobFile.failed(folder, errno) }
  }

  deinit { close(descriptor) }

  func append(_ data: Data) throws {
    let code = unsafe data.withUnsafeBytes { unsafe writeAll($0, to: descriptor) }
    guard code == 0 else { throw BlobFile.failed(folder, code) }
    count += data.count
  }

  private static func failed(_ folder: String, _ code: Int32) -> SharedError {
    SharedError(
      .ioError,
      "\(folder): what the run begins with cannot be stored there (\(unsafe String(cString: strerror(code)))); free some space, or "
        + "name another folder in TMPDIR")
  }
}
