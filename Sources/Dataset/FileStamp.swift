// What tells, without reading a file, whether it changed.
import Glibc
import Shared

/// The size and times of a file. Those of a folder of images are the sum and the latest of its files'.
public struct FileStamp: Hashable, Sendable {
  public var bytes: UInt64
  /// Nanoseconds since 1970: when the contents changed.
  public var modified: Int64
  /// Nanoseconds since 1970: when anything changed, permissions included.
  public var changed: Int64

  public init(bytes: UInt64, modified: Int64, changed: Int64) {
    self.bytes = bytes
    self.modified = modified
    self.changed = changed
  }

  /// - Returns: nil if it is not there or cannot be asked; `errno` says why.
  public init?(of path: String) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      self.init(status)
      return
    }
    // Of the folder itself only the names count: its own times change with them.
    var sum = FileStamp(status)
    sum.bytes = 0
    do throws(DirectoryProblem) {
      try forEachEntry(ofDirectory: path) { entry in
        guard unsafe fstatat(entry.directory, entry.name, &status, 0) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFREG else { return }
        let file = FileStamp(status)
        sum.bytes &+= file.bytes
        sum.modified = max(sum.modified, file.modified)
        sum.changed = max(sum.changed, file.changed)
      }
    } catch {
      errno = error.code
      return nil
    }
    self = sum
  }

  private init(_ status: stat) {
    func nanoseconds(_ time: timespec) -> Int64 { Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec) }
    self.init(
      bytes: UInt64(clamping: status.st_size), modified: nanoseconds(status.st_mtim),
      changed: nanoseconds(status.st_ctim))
  }
}
