// The failures of this module and of `Packing`: annotation files, data folders, index files and packs that cannot be
// used or made.
import Foundation
import Shared

/// An annotation list, a data folder, an index or a pack that cannot be used or made.
public struct DatasetError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String
  /// The recipe's key that is at fault, where it is one alone.
  public let key: String?

  public init(_ status: ExitStatus, _ description: String, key: String? = nil) {
    self.status = status
    self.description = description
    self.key = key
  }

  static func badData(_ file: String, line: Int, _ problem: String) -> DatasetError {
    DatasetError(.badData, "\(file):\(line): \(problem)")
  }
}

/// The bytes of the file at `path`.
///
/// - Throws: `DatasetError` with the path and the advice.
func contents(ofFile path: String, advice: String) throws(DatasetError) -> Data {
  let (handle, _) = try openedFile(path, advice: advice)
  defer { try? handle.close() }
  do {
    return try handle.readToEnd() ?? Data()
  } catch {
    throw DatasetError(.ioError, "\(path): cannot be read (\(error.localizedDescription)); \(advice)")
  }
}

/// The regular file at `path`, open for reading, and its size. A FIFO would block, and a folder is no file.
///
/// - Throws: `DatasetError` with the path and the advice.
func openedFile(_ path: String, advice: String) throws(DatasetError) -> (FileHandle, UInt64) {
  var status = stat()
  guard unsafe stat(path, &status) == 0 else {
    throw DatasetError(.ioError, "\(path): cannot be read (\(unsafe String(cString: strerror(errno)))); \(advice)")
  }
  guard status.st_mode & S_IFMT == S_IFREG else {
    throw DatasetError(.ioError, "\(path): is no file; \(advice)")
  }
  guard let handle = FileHandle(forReadingAtPath: path) else {
    throw DatasetError(.ioError, "\(path): cannot be read (\(unsafe String(cString: strerror(errno)))); \(advice)")
  }
  return (handle, UInt64(exactly: status.st_size) ?? 0)
}
