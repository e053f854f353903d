// The failures of this module: annotation files, data folders and index files that cannot be used.
import Foundation
import Shared

/// An annotation list, a data folder or an index that cannot be used.
public struct DatasetError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  public init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }

  static func badData(_ file: String, line: Int, _ problem: String) -> DatasetError {
    DatasetError(.badData, "\(file):\(line): \(problem)")
  }
}

/// The bytes of the file at `path`.
///
/// - Throws: `DatasetError` with the path and the advice.
func contents(ofFile path: String, advice: String) throws(DatasetError) -> Data {
  do {
    return try Data(contentsOf: URL(fileURLWithPath: path))
  } catch {
    throw DatasetError(.ioError, "\(path): cannot be read (\(error.localizedDescription)); \(advice)")
  }
}
