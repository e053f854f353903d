// Writing files that are either whole or absent: under another name first, then made durable (`fsync`), then renamed.
// What computes digests on the way is for the caller to say.
import Foundation
import Glibc

/// Writes a whole file, such as a user asked for. It takes the place of what has its name; if that is a device or a
/// pipe, the bytes go there.
/// - Throws: `SharedError(.ioError)`.
public func writeFile(_ data: Data, to path: String) throws {
  var status = stat()
  let isOther = unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
  do { try data.write(to: URL(fileURLWithPath: path), options: isOther ? [] : .atomic) } catch {
    throw SharedError(
      .ioError, "\(path): cannot be written; check the folder, its permissions, and the space left on its disk")
  }
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

/// Gives a file that is durable its name, in place of what has that name, and makes the name durable.
/// - Parameter partial: what it is called until then, in the same folder.
/// - Returns: 0, or the `errno` of what failed. A folder that cannot be made durable is no failure: not every file
///   system can do it.
public func placeFile(_ partial: String, at path: String) -> Int32 {
  guard unsafe rename(partial, path) == 0 else { return errno }
  let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
  let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  let opened = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard opened >= 0 else { return 0 }
  _ = fsync(opened)
  close(opened)
  return 0
}
