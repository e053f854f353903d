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
