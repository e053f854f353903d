// The one gateway to the file system: each call retries EINTR and throws with its name, path and errno.
import Foundation

/// Makes a system call that returns -1 and sets `errno` when it fails.
/// - Throws: `CheckpointError` with the call's name, the path and `errno`.
@discardableResult
func systemCall<Result: FixedWidthInteger>(_ operation: String, _ path: String, _ body: () -> Result) throws -> Result {
  while true {
    let result = body()
    if result != -1 { return result }
    if errno != EINTR { throw CheckpointError(operation, path: path, errno: errno) }
  }
}

/// An open file. Not to be used by two threads at once.
final class DiskFile {
  let path: String
  private var descriptor: Int32

  private init(path: String, flags: Int32) throws {
    self.path = path
    descriptor = try systemCall("open", path) { unsafe open(path, flags | O_CLOEXEC, 0o644) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  static func create(_ path: String) throws -> DiskFile { try DiskFile(path: path, flags: O_WRONLY | O_CREAT | O_EXCL) }

  static func read(_ path: String) throws -> DiskFile { try DiskFile(path: path, flags: O_RDONLY) }

  /// Bytes in the file now.
  func size() throws -> Int {
    var status = stat()
    try systemCall("fstat", path) { unsafe fstat(descriptor, &status) }
    return Int(status.st_size)
  }

  /// Writes all of `data` at the file's position.
  func write(_ data: Data) throws {
    try unsafe data.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        done += try systemCall("write", path) {
          unsafe Foundation.write(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
        }
      }
    }
  }

  /// The next bytes, at most `count` of them; empty at the end of the file.
  func read(_ count: Int) throws -> Data {
    var data = Data(count: count)
    let got = try unsafe data.withUnsafeMutableBytes { bytes in
      try systemCall("read", path) { unsafe Foundation.read(descriptor, bytes.baseAddress, bytes.count) }
    }
    return data.prefix(got)
  }

  /// Makes the contents durable, then asks the kernel to forget them, so that reading back reads the disk.
  ///
  /// A failed fsync is not tried again: the kernel may have dropped the pages that it could not write.
  func sync() throws {
    try systemCall("fsync", path) { fsync(descriptor) }
    _ = posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
  }

  func closeFile() throws {
    let closing = descriptor
    descriptor = -1
    // Linux frees the descriptor even when close fails, so EINTR must not close again.
    if closing >= 0, close(closing) == -1, errno != EINTR { throw CheckpointError("close", path: path, errno: errno) }
  }
}

/// What is done to directories.
enum Directory {
  /// Makes `path` and the directories above it, where they are missing.
  static func create(_ path: String) throws {
    if exists(path) { return }
    let parent = (path as NSString).deletingLastPathComponent
    if !parent.isEmpty, parent != path { try create(parent) }
    try systemCall("mkdir", path) { unsafe mkdir(path, 0o755) }
    if !parent.isEmpty { try sync(parent) }
  }

  static func exists(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The names in `path`, sorted.
  static func names(_ path: String) throws -> [String] {
    guard let stream = unsafe opendir(path) else { throw CheckpointError("opendir", path: path, errno: errno) }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else { break }
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    if errno != 0 { throw CheckpointError("readdir", path: path, errno: errno) }
    return names.sorted()
  }

  /// Makes the names in `path` durable.
  static func sync(_ path: String) throws {
    let descriptor = try systemCall("open", path) { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    defer { close(descriptor) }
    try systemCall("fsync", path) { fsync(descriptor) }
  }

  static func rename(_ from: String, to: String) throws {
    try systemCall("rename", to) { unsafe Foundation.rename(from, to) }
  }

  /// Removes `path` and the files in it; directories inside it are not expected and make it fail.
  static func remove(_ path: String) throws {
    for name in try names(path) { try systemCall("unlink", "\(path)/\(name)") { unsafe unlink("\(path)/\(name)") } }
    try systemCall("rmdir", path) { unsafe rmdir(path) }
  }
}
