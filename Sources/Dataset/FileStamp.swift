// What tells, without reading a file, whether it changed.
import Foundation
import Glibc

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
    guard let stream = unsafe opendir(path) else { return nil }
    defer { unsafe closedir(stream) }
    self.init(status)
    bytes = 0
    while let entry = unsafe readdir(stream) {
      // Only the names decide: a folder's own times change with them.
      guard unsafe fstatat(dirfd(stream), fileName(entry), &status, 0) == 0 else { continue }
      guard status.st_mode & S_IFMT == S_IFREG else { continue }
      let file = FileStamp(status)
      bytes &+= file.bytes
      modified = max(modified, file.modified)
      changed = max(changed, file.changed)
    }
  }

  private init(_ status: stat) {
    func nanoseconds(_ time: timespec) -> Int64 { Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec) }
    self.init(
      bytes: UInt64(clamping: status.st_size), modified: nanoseconds(status.st_mtim),
      changed: nanoseconds(status.st_ctim))
  }
}

/// The name of a folder's entry.
private func fileName(_ entry: UnsafeMutablePointer<dirent>) -> String {
  unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}
