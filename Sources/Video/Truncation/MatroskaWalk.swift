// Cut Matroska and WebM files: a walk over the sizes of their elements.

/// Reads the heads of a Matroska file's elements, and skips what is in them.
///
/// Sizes that a live encoder did not know are followed down to what has one.
///
/// **Source:** RFC 8794 (EBML), sections 5 and 6; RFC 9559 (Matroska), section 5.1.
struct MatroskaWalk {
  private struct Element {
    var name: UInt64
    /// Where its content begins.
    var start: UInt64
    /// Of the content; nil if it is unknown.
    var size: UInt64?
  }

  /// How many elements are looked at. A cluster of known size is one.
  private static let most = 4_000_000
  private static let segment: UInt64 = 0x1853_8067
  private static let cluster: UInt64 = 0x1f43_b675
  private static let header: UInt64 = 0x1a45_dfa3
  /// The parts of a segment.
  private static let parts: Set<UInt64> = [
    0x114d_9b74, 0x1549_a966, 0x1654_ae6b, 0x1c53_bb6b, 0x1254_c367, 0x1043_a770, 0x1941_a469, cluster,
  ]

  private let file: ClipFile

  init(_ file: ClipFile) { self.file = file }

  /// Why the file is cut off; nil if it is whole.
  func cut() throws(VideoError) -> String? {
    var offset: UInt64 = 0
    var isLive = false
    for _ in 0..<MatroskaWalk.most where offset < file.size {
      guard let element = try element(at: offset) else {
        // What follows the last element, if anything does, is no Matroska.
        return isLive && file.size - offset < 12 ? "its last element is not whole" : nil
      }
      switch element.name {
      case MatroskaWalk.segment where element.size == nil, MatroskaWalk.cluster where element.size == nil:
        isLive = true
        offset = element.start
      // Its parts are within it.
      case MatroskaWalk.segment: return end(of: element, "segment")
      default:
        // In an unfinished file the last block is cut, and nothing else says so.
        guard let size = element.size else { return nil }
        if let reason = end(of: element, element.name == MatroskaWalk.cluster ? "cluster" : "last element") {
          return reason
        }
        offset = element.start + size
      }
    }
    return nil
  }

  private func end(of element: Element, _ name: String) -> String? {
    element.size.flatMap { Truncation.cut(name, from: element.start, size: $0, in: file) }
  }

  /// The element at a place; nil if there is none that this walk knows how to pass.
  private func element(at offset: UInt64) throws(VideoError) -> Element? {
    let head = try file.bytes(at: offset, count: 12)
    guard let first = head.first, first >= 0x10 else { return nil }
    let nameBytes = first.leadingZeroBitCount + 1
    guard head.count > nameBytes, head[nameBytes] > 0 else { return nil }
    let sizeBytes = head[nameBytes].leadingZeroBitCount + 1
    guard head.count >= nameBytes + sizeBytes else { return nil }
    let name = Truncation.number(head[0..<nameBytes])
    let all = (UInt64(1) << (7 * UInt64(sizeBytes))) - 1
    let size = Truncation.number(head[nameBytes..<nameBytes + sizeBytes]) & all
    let start = offset + UInt64(nameBytes + sizeBytes)
    // Junk behind the file looks like an element of any size.
    let isKnown =
      MatroskaWalk.parts.contains(name) || [MatroskaWalk.segment, MatroskaWalk.header].contains(name)
      // Of a cluster: time, position, previous size, blocks, groups; of any element: void and checksum.
      || [0xe7, 0xa7, 0xab, 0xa3, 0xa0, 0xaf, 0xec, 0xbf, 0x5854].contains(name)
    return isKnown ? Element(name: name, start: start, size: size == all ? nil : size) : nil
  }
}
