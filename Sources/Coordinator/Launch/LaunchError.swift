// The failures of the hosts file and of starting workers.
import Glibc
import Shared

/// Why no worker could be started: what, where, and what to do about it.
struct LaunchError: Failure, Equatable {
  let status: ExitStatus
  let description: String

  init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }

  /// For a call of the system that failed with the error number `code`.
  init(_ operation: String, _ place: String, errorNumber code: Int32) {
    var text = [CChar](repeating: 0, count: 256)
    _ = unsafe strerror_r(code, &text, text.count)
    let reason = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    self.init(.ioError, "\(operation) \(place): \(reason)")
  }
}
