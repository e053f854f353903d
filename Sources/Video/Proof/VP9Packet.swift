// The few bits of a VP9 packet that say whether it is an entry point, and whether it gives one picture.

/// **Source:** "VP9 Bitstream & Decoding Process Specification", version 0.6, section 6.2 (uncompressed header) and
/// annex B (superframes). A key frame replaces all eight reference pictures, and resets all probabilities (section
/// 7.2).
struct VP9Packet: Equatable {
  /// Whether decoding can begin here: its first frame is a key frame.
  var isKey: Bool
  /// Whether its last frame is shown, and no other.
  var isShown: Bool

  /// - Returns: nil if the packet is not what an ordinary encoder writes.
  init?(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let frames = unsafe VP9Packet.frames(bytes), !frames.isEmpty else { return nil }
    var headers: [Header] = []
    for frame in frames {
      guard frame.count > 0, let header = Header(unsafe bytes[frame.lowerBound]) else { return nil }
      headers.append(header)
    }
    isKey = headers[0].isKey
    isShown = headers.last?.isShown == true && !headers.dropLast().contains(where: \.isShown)
  }

  /// The places of a superframe's frames, or of the only frame.
  private static func frames(_ bytes: UnsafeBufferPointer<UInt8>) -> [Range<Int>]? {
    guard let last = unsafe bytes.last else { return nil }
    let count = Int(last & 7) + 1
    let width = Int(last >> 3 & 3) + 1
    let tail = 2 + count * width
    guard last & 0xe0 == 0xc0, bytes.count >= tail, unsafe bytes[bytes.count - tail] == last else {
      return [0..<bytes.count]
    }
    var start = 0
    var frames: [Range<Int>] = []
    for frame in 0..<count {
      var size = 0
      for byte in 0..<width { size |= Int(unsafe bytes[bytes.count - tail + 1 + frame * width + byte]) << (8 * byte) }
      guard size <= bytes.count - tail - start else { return nil }
      // FFmpeg passes over frames of no bytes.
      if size > 0 { frames.append(start..<start + size) }
      start += size
    }
    return frames
  }

  /// The first byte of an uncompressed header.
  private struct Header {
    var isKey: Bool
    var isShown: Bool

    init?(_ byte: UInt8) {
      // frame_marker, then two bits of the profile; profile 3 has a bit more.
      guard byte >> 6 == 2, byte & 0x30 != 0x30 else { return nil }
      if byte & 8 != 0 {
        (isKey, isShown) = (false, true)
      } else {
        (isKey, isShown) = (byte & 4 == 0, byte & 2 != 0)
      }
    }
  }
}
