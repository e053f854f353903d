// The one loop over what a directory holds.
import Glibc

/// An entry of a directory.
public struct DirectoryEntry {
  public let name: String
  /// Whether the name is UTF-8. Otherwise `name` is only for people: nothing can be opened by it.
  public let isText: Bool
  /// `DT_REG`, `DT_DIR`, `DT_LNK`…, or `DT_UNKNOWN`, as the directory tells it.
  public let kind: Int
  /// The directory's descriptor, for the duration of the call that gets the entry.
  public let directory: Int32
}

/// A directory that cannot be read.
public struct DirectoryProblem: Error {
  /// `opendir` or `readdir`.
  public let operation: String
  public let code: Int32

  /// The system's reason.
  public var reason: String { unsafe String(cString: strerror(code)) }
}

/// Passes on each entry of a directory but `.` and `..`, in no order.
public func forEachEntry(
  ofDirectory path: String, _ body: (DirectoryEntry) -> Void
) throws(DirectoryProblem) {
  var opened: OpaquePointer?
  repeat { unsafe opened = opendir(path) } while unsafe opened == nil && errno == EINTR
  guard let stream = unsafe opened else { throw DirectoryProblem(operation: "opendir", code: errno) }
  defer { unsafe closedir(stream) }
  while true {
    // Only errno distinguishes the end from an error.
    errno = 0
    guard let entry = unsafe readdir(stream) else {
      if errno == EINTR { continue }
      guard errno == 0 else { throw DirectoryProblem(operation: "readdir", code: errno) }
      return
    }
    let (name, isText) = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      let name = unsafe bytes.prefix { $0 != 0 }
      let text = unsafe String(validating: name, as: UTF8.self)
      return unsafe (text ?? String(decoding: name, as: UTF8.self), text != nil)
    }
    guard name != ".", name != ".." else { continue }
    body(
      DirectoryEntry(
        name: name, isText: isText, kind: unsafe Int(entry.pointee.d_type), directory: unsafe dirfd(stream)))
  }
}
