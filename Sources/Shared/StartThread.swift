// Threads of our own. Foundation's `Thread` ignores it when the system refuses to make one, and whoever waits for that
// thread's work then waits for ever, without a word.
import CLinux
import Glibc

/// Runs `body` on a new thread that nobody joins.
///
/// Ends the process where the system gives it no thread: the work would never be done, and a host that cannot run it
/// is unavailable (69).
/// - Parameters:
///   - name: Linux shows its first 15 bytes.
///   - stackSize: in bytes; decoders keep large tables on the stack.
public func startThread(named name: String, stackSize: Int = 8 << 20, _ body: @escaping @Sendable () -> Void) {
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  defer { unsafe pthread_attr_destroy(&attributes) }
  unsafe pthread_attr_setstacksize(&attributes, stackSize)
  unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
  let start = unsafe Unmanaged.passRetained(ThreadStart(name, body))
  var thread = pthread_t()
  let code = unsafe pthread_create(
    &thread, &attributes,
    { argument in
      guard let argument = unsafe argument else { return nil }
      let start = unsafe Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
      _ = unsafe pthread_setname_np(pthread_self(), start.name)
      start.body()
      return nil
    }, start.toOpaque())
  guard code == 0 else {
    endProcess(
      .unavailable,
      "no thread \"\(name)\" can be started (\(unsafe String(cString: strerror(code)))): use fewer threads or slots on "
        + "this host, or raise the limit (ulimit -u or -v, or the container's)")
  }
}

private final class ThreadStart: Sendable {
  let name: String
  let body: @Sendable () -> Void

  init(_ name: String, _ body: @escaping @Sendable () -> Void) {
    self.name = String(decoding: name.utf8.prefix(15), as: UTF8.self)
    self.body = body
  }
}
