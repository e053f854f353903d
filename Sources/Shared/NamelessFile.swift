// A file without a name: room on disk for what must not be in memory.
import Glibc

/// Opens a new file in `folder` that is gone when nobody has it open any more, however this process ends.
/// - Returns: its descriptor, or -1 if the folder takes no file; `errno` then says why.
public func openNamelessFile(in folder: String) -> Int32 {
  var name = Array("\(folder)/.tamring-XXXXXX".utf8CString)
  let descriptor = unsafe mkstemp(&name)
  guard descriptor >= 0 else { return descriptor }
  unsafe unlink(&name)
  _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  return descriptor
}

/// Writes all of `bytes`.
/// - Returns: 0, or the `errno` of what failed.
public func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
  var done = 0
  while done < bytes.count {
    let written = unsafe write(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
    if written < 0, errno == EINTR { continue }
    // A write of zero bytes without an error would loop for ever.
    guard written > 0 else { return written < 0 ? errno : EIO }
    done += written
  }
  return 0
}
