// Waiting for nothing but time.
import Glibc

/// Lets this thread sleep for all of a time, whatever signals come.
public func sleepThread(for time: Duration) {
  let parts = max(.zero, time).components
  var pause = timespec(tv_sec: Int(parts.seconds), tv_nsec: Int(parts.attoseconds / 1_000_000_000))
  var rest = timespec()
  while unsafe nanosleep(&pause, &rest) != 0, errno == EINTR { pause = rest }
}
