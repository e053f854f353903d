// Cut files of boxes and chunks: MP4, MOV and 3GP; AVI; Windows Media.

extension Truncation {
  private struct Box {
    var name: String
    var start: UInt64
    /// With its head; nil if it goes on to the file's end.
    var size: UInt64?
  }

  /// The top-level boxes of an MP4: ISO/IEC 14496-12, section 4.2.
  private static func topBoxes(_ file: ClipFile) throws(VideoError) -> [Box] {
    var boxes: [Box] = []
    var offset: UInt64 = 0
    // Fragmented files have two boxes for each fragment.
    while offset < file.size, boxes.count < 1_000_000 {
      let head = try file.bytes(at: offset, count: 16)
      guard head.count >= 8 else { break }
      var size: UInt64? = number(head[0..<4])
      if size == 1 { size = head.count == 16 ? number(head[8..<16]) : UInt64.max }
      if size == 0 { size = nil }
      boxes.append(Box(name: String(decoding: head[4..<8], as: UTF8.self), start: offset, size: size))
      guard let size, size >= 8, size <= file.size - offset else { break }
      offset += size
    }
    return boxes
  }

  /// Only boxes that hold video or its index count: what follows them may be anything.
  static func boxes(_ file: ClipFile) throws(VideoError) -> String? {
    let boxes = try topBoxes(file)
    if let index = boxes.first(where: { $0.name == "sidx" }), let reason = try segments(index, file) { return reason }
    guard let last = boxes.last, let size = last.size else { return nil }
    guard ["mdat", "moov", "moof"].contains(last.name) else { return nil }
    return cut("'\(last.name)' box", from: last.start, size: size, in: file)
  }

  /// Whether the fragments of a segment index are all there: ISO/IEC 14496-12, section 8.16.3.
  private static func segments(_ index: Box, _ file: ClipFile) throws(VideoError) -> String? {
    guard let size = index.size, size >= 32, size <= 1 << 24 else { return nil }
    let box = try file.bytes(at: index.start, count: Int(size))
    // Behind head, version, two numbers: the earliest time and the offset of the first fragment, of 4 or 8 bytes each.
    let wide = box.count > 8 && box[8] > 0
    let list = wide ? 40 : 32
    guard box.count == Int(size), box.count >= list else { return nil }
    let count = Int(number(box[list - 2..<list]))
    guard box.count >= list + 12 * count else { return nil }
    var total = wide ? number(box[28..<36]) : number(box[24..<28])
    for place in 0..<count {
      // The highest bit says that a fragment is an index itself.
      total =
        total.addingReportingOverflow(number(box[list + 12 * place..<list + 12 * place + 4]) & 0x7fff_ffff).partialValue
    }
    let (end, overflow) = total.addingReportingOverflow(index.start + size)
    return overflow || end <= file.size
      ? nil : "its index has fragments up to byte \(end), and the file has \(file.size) bytes"
  }

  /// Why it is no complete MP4 or MOV, if it begins like one: such a file cannot be opened at all.
  static func lackOfMovieBox(_ file: ClipFile) throws(VideoError) -> String? {
    let boxes = try topBoxes(file)
    guard let first = boxes.first, ["ftyp", "mdat", "wide", "free", "skip"].contains(first.name) else { return nil }
    if let index = boxes.first(where: { $0.name == "moov" }) {
      let reason = index.size.flatMap { cut("'moov' box", from: index.start, size: $0, in: file) }
      return reason.map { "the file is truncated: \($0) (an incomplete download?)" }
    }
    return "moov atom not found (an incomplete download?)"
  }

  /// The RIFF chunks of an AVI, of which big files have several, and the list of pictures in each.
  static func riff(_ file: ClipFile) throws(VideoError) -> String? {
    var offset: UInt64 = 0
    for _ in 0..<10_000 where offset < file.size {
      let head = try file.bytes(at: offset, count: 12)
      guard head.count == 12, head[0..<4].elementsEqual("RIFF".utf8) else { return nil }
      let size = littleNumber(head[4..<8])
      // Recorders that were switched off leave no size, and the pictures are all there.
      guard size >= 4 else { return nil }
      // Some programs write a wrong size here, so the list of pictures decides.
      var place = offset + 12
      let end = min(file.size, offset + 8 + size)
      var isListed = false
      while place + 12 <= end {
        let chunk = try file.bytes(at: place, count: 12)
        guard chunk.count == 12 else { break }
        let length = littleNumber(chunk[4..<8])
        if chunk[0..<4].elementsEqual("LIST".utf8), chunk[8..<12].elementsEqual("movi".utf8) {
          if let reason = cut("list of pictures", from: place + 8, size: length, in: file) { return reason }
          isListed = true
        }
        if chunk[0..<4].elementsEqual("idx1".utf8),
          let reason = cut("table of pictures", from: place + 8, size: length, in: file)
        {
          return reason
        }
        place += 8 + length + length % 2
      }
      if !isListed, offset == 0, let reason = cut("RIFF chunk", from: 8, size: size, in: file) { return reason }
      offset += 8 + size + size % 2
    }
    return nil
  }

  /// Windows Media states the file's size, unless it is a broadcast: "Advanced Systems Format", section 3.2.
  static func windowsMedia(_ file: ClipFile) throws(VideoError) -> String? {
    let head = try file.bytes(at: 0, count: 1 << 16)
    let name: [UInt8] = [
      0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65,
    ]
    guard head.count > 104,
      let start = (0...head.count - 104).first(where: { head[$0] == 0xa1 && head[$0..<$0 + 16].elementsEqual(name) })
    else { return nil }
    let isBroadcast = head[start + 88] & 1 != 0
    let size = littleNumber(head[start + 40..<start + 48])
    return isBroadcast || size == 0 ? nil : cut("content", from: 0, size: size, in: file)
  }
}
