// Finds the NAL units of an H.264 or HEVC packet.

/// The places of a packet's NAL units, one after the other. None is empty.
@safe
struct NALUnits {
  private let bytes: UnsafeBufferPointer<UInt8>
  private let count: Int
  private let lengthBytes: Int?
  private var offset = 0
  /// Whether a unit's length goes beyond the packet.
  private(set) var isBroken = false

  /// - Parameters:
  ///   - bytes: must outlive this value.
  ///   - lengthBytes: bytes of each unit's length; nil if start codes separate the units.
  init(_ bytes: UnsafeBufferPointer<UInt8>, lengthBytes: Int?) {
    unsafe self.bytes = unsafe bytes
    count = bytes.count
    self.lengthBytes = lengthBytes
    if lengthBytes == nil { offset = startCode(from: 0).map { $0 + 3 } ?? count }
  }

  mutating func next() -> Range<Int>? {
    guard let lengthBytes else { return nextAfterStartCode() }
    while offset + lengthBytes <= count {
      var length = 0
      for i in 0..<lengthBytes { length = length << 8 | Int(unsafe bytes[offset + i]) }
      let start = offset + lengthBytes
      guard length <= count - start else {
        isBroken = true
        offset = count
        return start < count ? start..<count : nil
      }
      offset = start + length
      if length > 0 { return start..<offset }
    }
    return nil
  }

  private mutating func nextAfterStartCode() -> Range<Int>? {
    while offset < count {
      let start = offset
      let code = startCode(from: start)
      let end = code ?? count
      offset = code.map { $0 + 3 } ?? count
      if end > start { return start..<end }
    }
    return nil
  }

  /// The next three bytes 0 0 1.
  private func startCode(from first: Int) -> Int? {
    var place = first
    while place + 2 < count {
      if unsafe bytes[place + 2] > 1 {
        place += 3
      } else if unsafe bytes[place] == 0 && bytes[place + 1] == 0 && bytes[place + 2] == 1 {
        return place
      } else {
        place += 1
      }
    }
    return nil
  }
}
