// The one way to a clip's bytes: a descriptor of a regular file, and the part of it that is the clip's.
import Glibc
import Shared

/// An open file, or the part of a shard that holds one. It belongs to one thread.
///
/// Everything that FFmpeg reads comes through here, so it reads the named file and nothing else.
final class ClipFile {
  let path: String
  /// Bytes of the clip's file.
  let size: UInt64
  /// Where it begins in the file at `path`.
  private let start: UInt64
  private let descriptor: Int32
  /// Why a read failed that may work when it is tried again: the error number.
  private(set) var passingError: Int32?
  private var hasShrunk = false

  /// - Parameter range: the bytes of a shard that are the clip's file; nil for all.
  /// - Throws: `VideoError` if it is missing, no regular file, empty, or shorter than the range; with the status
  ///   `.ioError` for a passing error.
  init(path: String, range: Range<UInt64>? = nil) throws(VideoError) {
    self.path = path
    // Opening a FIFO or a device would wait without O_NONBLOCK, which changes nothing for a regular file.
    let opened = FileWait.during {
      path.utf8.contains(0) ? -1 : unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    }
    guard opened >= 0 else {
      throw path.utf8.contains(0)
        ? VideoError(path: path, operation: "open", cause: "no such file: its name has a zero byte")
        : ClipFile.failure(path, "open", errno)
    }
    var facts = stat()
    let (whole, problem): (UInt64, VideoError?)
    if unsafe fstat(opened, &facts) != 0 {
      (whole, problem) = (0, ClipFile.failure(path, "open", errno))
    } else if facts.st_mode & S_IFMT != S_IFREG {
      (whole, problem) = (0, VideoError(path: path, operation: "open", cause: "not a regular file"))
    } else {
      whole = UInt64(clamping: facts.st_size)
      let isShort = (range?.upperBound ?? 0) > whole
      let isEmpty = range?.isEmpty ?? (whole == 0)
      problem =
        isEmpty
        ? VideoError(path: path, operation: "open", cause: "the file has zero bytes")
        : isShort
          ? VideoError(
            path: path, operation: "open",
            cause: "the shard has \(whole) bytes, and the clip should end at byte \(range?.upperBound ?? 0)") : nil
    }
    if let problem {
      close(opened)
      throw problem
    }
    descriptor = opened
    start = range?.lowerBound ?? 0
    size = range.map { $0.upperBound - $0.lowerBound } ?? whole
  }

  deinit { close(descriptor) }

  /// Reads up to the end of `buffer` or of the file.
  /// - Returns: the bytes that were read, 0 at the end; or the negative error number.
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard offset < size, let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
    let wanted = Int(min(UInt64(buffer.count), size - offset))
    guard let place = off_t(exactly: start + offset) else { return Int(-EINVAL) }
    while true {
      let count = FileWait.during { unsafe pread(descriptor, base, wanted, place) }
      if count > 0 { return count }
      if count == 0 {
        hasShrunk = true
        return 0
      }
      let number = errno
      if number == EINTR { continue }
      passingError = number
      return Int(-number)
    }
  }

  /// The bytes at a place; fewer at the file's end.
  /// - Throws: `VideoError` for a read that failed.
  func bytes(at offset: UInt64, count: Int) throws(VideoError) -> [UInt8] {
    guard offset < size else { return [] }
    let wanted = Int(min(UInt64(max(0, count)), size - offset))
    var done = 0
    let result = unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
      while done < wanted {
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[done..<wanted])
        let count = unsafe read(at: offset + UInt64(done), into: rest)
        if count <= 0 { break }
        done += count
      }
      filled = done
    }
    try check()
    return result
  }

  /// - Throws: `VideoError` if a read has failed. FFmpeg may take that for the end of the file.
  func check() throws(VideoError) {
    if let passingError { throw ClipFile.failure(path, "read", passingError) }
    if hasShrunk {
      throw VideoError(path: path, operation: "read", cause: "the file got shorter while it was read")
    }
  }

  /// XXH3-128 of all bytes.
  func hash(_ progress: DecodeProgress? = nil) throws(VideoError) -> Digest128 {
    let digest = Digest128Stream()
    try addBytes(to: digest, progress)
    return digest.finish()
  }

  /// Adds all bytes to a digest.
  func addBytes(to digest: borrowing Digest128Stream, _ progress: DecodeProgress? = nil) throws(VideoError) {
    let block = AlignedStorage<UInt8>(count: Int(min(size, 1 << 20)))
    var offset: UInt64 = 0
    while offset < size {
      let buffer = unsafe UnsafeMutableRawBufferPointer(start: block.base, count: block.count)
      let count = unsafe read(at: offset, into: buffer)
      try check()
      guard count > 0 else { return }
      unsafe digest.update(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[0..<count]))
      progress?.moved()
      offset += UInt64(count)
    }
  }

  /// What may be gone when the same is tried again: the disk, the network, the process's or the system's resources.
  private static let passing: Set<Int32> = [
    EIO, ESTALE, EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EBUSY, ETIMEDOUT, ENOTCONN, ECONNRESET, ECONNREFUSED,
    EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, EREMOTEIO, ENOLCK, ENOLINK, ESHUTDOWN,
  ]

  static func failure(_ path: String, _ operation: String, _ number: Int32) -> VideoError {
    let text = unsafe String(cString: strerror(number))
    let isPassing = passing.contains(number) || operation == "read"
    if isPassing {
      return VideoError(path: path, operation: operation, cause: text, status: .ioError, errorNumber: number)
    }
    let isGone = [ENOENT, ENOTDIR].contains(number)
    return VideoError(
      path: path, operation: operation,
      cause: isGone ? "no such file" : number == EACCES || number == EPERM ? "no permission to read it" : text)
  }
}
