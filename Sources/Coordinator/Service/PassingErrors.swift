// Errors that are no property of a file: the system lacks something at the moment, or a disk or mount does not answer.
import Foundation
import Glibc
import Remote
import Shared
import Video

enum PassingErrors {
  static let codes: Set<Int32> = [
    EMFILE, ENFILE, EIO, ESTALE, ENOMEM, EAGAIN, ETIMEDOUT, ENOBUFS, ECONNRESET, ENOTCONN,
  ]

  /// Whether `error`, from probing, may be gone in a moment.
  static func mayPass(_ error: any Error) -> Bool {
    (error as? VideoError)?.status == .ioError || (error as? RemoteError)?.isPassing == true
  }

  /// How reading a file went.
  enum Contents {
    case digest(Digest128)
    case failed(Int32)
  }

  /// Reads all of a file, or of its part of a shard. What cannot be read so is not the fault of what is in it.
  static func contents(_ path: String, _ range: Range<UInt64>?) -> Contents {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return .failed(errno) }
    defer { close(descriptor) }
    let buffer = AlignedStorage<UInt8>(count: 1 << 20)
    let stream = Digest128Stream()
    var offset = range?.lowerBound ?? 0
    while true {
      let wanted = range.map { min(UInt64(buffer.count), $0.upperBound - offset) } ?? UInt64(buffer.count)
      guard wanted > 0, let place = off_t(exactly: offset) else { break }
      let got = unsafe pread(descriptor, buffer.base, Int(wanted), place)
      if got < 0, errno == EINTR { continue }
      if got < 0 { return .failed(errno) }
      if got == 0 { break }
      unsafe stream.update(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<got]))
      offset += UInt64(got)
    }
    return .digest(stream.finish())
  }
}
