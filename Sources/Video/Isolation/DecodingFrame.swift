// Sending and receiving whole messages over a socket: the number of bytes, then the bytes.
import CLinux
import Glibc

enum DecodingFrame {
  static let headerBytes = 8

  /// - Returns: whether all was sent; the other end may be gone.
  static func send(_ body: [UInt8], over socket: Int32) -> Bool {
    var header = FieldWriter()
    header.put(body.count)
    let bytes = header.bytes + body
    var done = 0
    while done < bytes.count {
      let sent = unsafe bytes.withUnsafeBytes { bytes in
        unsafe sendQuietly(socket, bytes.baseAddress?.advanced(by: done), bytes.count - done)
      }
      if sent < 0, errno == EINTR { continue }
      guard sent > 0 else { return false }
      done += sent
    }
    return true
  }

  /// Receives a message's body.
  /// - Parameters:
  ///   - most: bytes; more are nonsense.
  ///   - wait: returns when there is something to receive, or throws.
  /// - Returns: nil if the other end has closed.
  static func receive(
    from socket: Int32, most: Int, _ wait: () throws(DecoderEnd) -> Void = {}
  ) throws(DecoderEnd) -> [UInt8]? {
    // Nearly every message comes whole at once.
    var bytes = [UInt8](repeating: 0, count: 4096)
    var done = 0
    var wanted: Int?
    while done < wanted ?? headerBytes {
      try wait()
      let (start, room) = (done, bytes.count - done)
      let got = unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe recv(socket, bytes.baseAddress?.advanced(by: start), room, 0)
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      done += got
      guard wanted == nil, done >= headerBytes else { continue }
      var fields = FieldReader(Array(bytes[..<headerBytes]))
      let count = try fields.int()
      guard (0...most).contains(count) else { throw .nonsense }
      let all = headerBytes + count
      wanted = all
      if all > bytes.count { bytes += [UInt8](repeating: 0, count: all - bytes.count) }
    }
    // Only one message at a time is under way.
    guard done == wanted else { throw .nonsense }
    return Array(bytes[headerBytes..<done])
  }
}
