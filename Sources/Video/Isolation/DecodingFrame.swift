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
    guard let header = try receive(headerBytes, from: socket, wait) else { return nil }
    var fields = FieldReader(header)
    let count = try fields.int()
    guard (0...most).contains(count) else { throw .nonsense }
    return count == 0 ? [] : try receive(count, from: socket, wait)
  }

  private static func receive(
    _ count: Int, from socket: Int32, _ wait: () throws(DecoderEnd) -> Void
  ) throws(DecoderEnd) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      try wait()
      let got = unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe recv(socket, bytes.baseAddress?.advanced(by: done), count - done, 0)
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      done += got
    }
    return bytes
  }
}
