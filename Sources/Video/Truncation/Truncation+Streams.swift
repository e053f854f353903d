// Cut files of pages, tags and packs: Ogg, Flash, transport and program streams.

extension Truncation {
  /// How much of a stream's end is looked at.
  private static let tail: UInt64 = 1 << 18

  /// Ogg marks the last page of each of its streams (RFC 3533, section 6).
  static func ogg(_ file: ClipFile) throws(VideoError) -> String? {
    let start = file.size > tail ? file.size - tail : 0
    let bytes = try file.bytes(at: start, count: Int(tail))
    var place = 0
    var last: (end: Int, isLast: Bool)?
    while place + 27 <= bytes.count {
      guard bytes[place..<place + 4].elementsEqual("OggS".utf8) else {
        place += 1
        continue
      }
      let segments = Int(bytes[place + 26])
      guard place + 27 + segments <= bytes.count else { return "its last page is not whole" }
      let end = place + 27 + segments + bytes[place + 27..<place + 27 + segments].reduce(0) { $0 + Int($1) }
      last = (end, bytes[place + 5] & 4 != 0)
      place = end
    }
    guard let last else { return nil }
    if last.end > bytes.count { return "its last page is not whole" }
    return last.isLast ? nil : "its last page is not marked as the last"
  }

  /// Flash video is a row of tags, each with its size before and behind it; its first tag often states the file's size.
  static func flash(_ file: ClipFile) throws(VideoError) -> String? {
    let head = try file.bytes(at: 0, count: 1 << 14)
    let key = Array("filesize".utf8) + [0]
    if head.count > 32,
      let place = (0..<head.count - 32).first(where: { head[$0] == key[0] && head[$0..<$0 + 9].elementsEqual(key) })
    {
      let size = Double(bitPattern: number(head[place + 9..<place + 17]))
      if size > 0, size < 1e15, UInt64(size) > file.size {
        return "it should have \(UInt64(size)) bytes, and has \(file.size)"
      }
    }
    // Walk back from the end: the last four bytes state the size of the last tag.
    let end = try file.bytes(at: file.size >= 4 ? file.size - 4 : 0, count: 4)
    let size = number(end)
    guard size >= 11, size + 4 <= file.size else { return "its last tag is not whole" }
    let tag = try file.bytes(at: file.size - 4 - size, count: 4)
    guard tag.count == 4, [8, 9, 18].contains(tag[0] & 31), number(tag[1..<4]) + 11 == size else {
      return "its last tag is not whole"
    }
    return nil
  }

  /// Transport streams are packets of one size, each beginning with 0x47.
  static func transportStream(_ file: ClipFile) throws(VideoError) -> String? {
    let bytes = try file.bytes(at: 0, count: 1 << 14)
    // Of discs, four bytes before each packet; of broadcasts, 16 of parity behind it.
    for (size, first) in [(188, 0), (192, 4), (204, 0)] {
      let starts = stride(from: first, to: bytes.count, by: size)
      guard starts.underestimatedCount > 0, starts.allSatisfy({ bytes[$0] == 0x47 }) else { continue }
      let rest = file.size % UInt64(size)
      return rest == 0 ? nil : "its last packet has \(rest) of \(size) bytes"
    }
    return nil
  }

  /// Program streams are packs of packets, which state their sizes: ISO/IEC 13818-1, section 2.5.3.
  static func programStream(_ file: ClipFile) throws(VideoError) -> String? {
    let start = file.size > tail ? file.size - tail : 0
    let bytes = try file.bytes(at: start, count: Int(tail))
    // Packets are walked from the last pack that begins in the tail; one that only looks like it leads nowhere.
    guard bytes.count >= 12 else { return nil }
    var pack: Int?
    for place in (0...bytes.count - 12).reversed()
    where bytes[place] == 0 && bytes[place + 1] == 0 && bytes[place + 2] == 1 && bytes[place + 3] == 0xba {
      pack = place
      break
    }
    guard var place = pack else { return nil }
    // MPEG-2 packs have stuffing behind 14 bytes, MPEG-1 packs 12 bytes.
    place += bytes[place + 4] >> 6 == 1 && place + 13 < bytes.count ? 14 + Int(bytes[place + 13] & 7) : 12
    while place + 6 <= bytes.count {
      guard bytes[place] == 0, bytes[place + 1] == 0, bytes[place + 2] == 1, bytes[place + 3] >= 0xbb else {
        return nil
      }
      let end = place + 6 + (Int(bytes[place + 4]) << 8 | Int(bytes[place + 5]))
      if end > bytes.count { return "its last packet is not whole" }
      place = end
    }
    return nil
  }
}
