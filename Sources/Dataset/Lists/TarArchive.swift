// Lists the members of a tar archive with the places of their bytes. POSIX (ustar, pax) and GNU names, no compression.
import Foundation

/// A file in a tar archive.
struct TarMember: Equatable {
  let name: String
  let bytes: Range<UInt64>
}

/// Reads a tar archive from one member to the next.
///
/// **Source:** POSIX.1-2008, pax; GNU tar's "Basic Tar Format".
struct TarArchive {
  let path: String
  private let handle: FileHandle
  private let size: UInt64
  private var at: UInt64 = 0

  /// - Throws: `DatasetError` if the file cannot be read, or is compressed.
  init(path: String) throws(DatasetError) {
    self.path = path
    (handle, size) = try openedFile(path, advice: "check data.train_list and data.validation_list")
    let head = try? handle.read(upToCount: 6)
    guard !FileNames.isCompressedArchive(path), !Self.compressed.contains(where: { head?.starts(with: $0) == true })
    else {
      try? handle.close()
      throw DatasetError(
        .badData,
        "\(path): is compressed, so that no clip in it can be read by itself; decompress the archive (gunzip, zstd -d, …), "
          + "or unpack it and make shards with 'coordinator pack'")
    }
  }

  /// How files of gzip, bzip2, xz, zstd and LZ4 begin.
  private static let compressed: [[UInt8]] = [
    [0x1F, 0x8B], Array("BZh".utf8), [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], [0x28, 0xB5, 0x2F, 0xFD],
    [4, 0x22, 0x4D, 0x18],
  ]

  func close() { try? handle.close() }

  /// Whether `head`, the first bytes of a file, begin a tar archive.
  static func isTar(_ head: Data) -> Bool {
    head.count >= 512 && head.dropFirst(257).prefix(5).elementsEqual("ustar".utf8)
  }

  /// The next file, or nil at the end.
  ///
  /// - Throws: `RowProblem` if the archive is cut off or damaged here; nothing follows then.
  mutating func next() throws(RowProblem) -> TarMember? {
    var longName: String?
    while true {
      guard at < size else { return nil }
      let header = [UInt8](try read(at, 512))
      if header.allSatisfy({ $0 == 0 }) { return nil }
      guard Self.isSound(header), let length = Self.number(header[124..<136]) else {
        throw RowProblem("the archive is damaged at byte \(at): no tar header is there")
      }
      let start = at + 512
      guard length <= size, start + length <= size else {
        throw RowProblem("the archive is cut off: a member of \(length) bytes begins at byte \(start) of \(size)")
      }
      at = start + (length + 511) / 512 * 512
      switch header[156] {
      case UInt8(ascii: "L"):
        longName = Self.text(try read(start, min(length, 65_536)))
      case UInt8(ascii: "x"):
        longName = Self.paxPath(try read(start, min(length, 65_536))) ?? longName
      case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
        let prefix = header[257..<262].elementsEqual("ustar".utf8) ? Self.text(header[345..<500]) : ""
        let short = Self.text(header[0..<100])
        return TarMember(
          name: longName ?? (prefix.isEmpty ? short : "\(prefix)/\(short)"), bytes: start..<(start + length))
      case UInt8(ascii: "g"): continue
      default: longName = nil
      }
    }
  }

  /// The text of a small member.
  func text(of member: TarMember) throws(RowProblem) -> String {
    let count = min(UInt64(member.bytes.count), 1 << 20)
    return String(decoding: try read(member.bytes.lowerBound, count), as: UTF8.self)
  }

  private func read(_ offset: UInt64, _ count: UInt64) throws(RowProblem) -> Data {
    let data: Data?
    do {
      try handle.seek(toOffset: offset)
      data = try handle.read(upToCount: Int(count))
    } catch {
      throw RowProblem("the archive cannot be read at byte \(offset) (\(error.localizedDescription))")
    }
    if count == 0 { return Data() }
    guard let data, data.count == Int(count) else { throw RowProblem("the archive is cut off at byte \(size)") }
    return data
  }

  private static func isSound(_ header: [UInt8]) -> Bool {
    // The sum of all bytes, its own eight counted as blanks.
    let sum = header.enumerated().reduce(0) { $0 + (148..<156 ~= $1.offset ? 32 : Int($1.element)) }
    return number(header[148..<156]) == UInt64(sum)
  }

  /// Octal digits, or, where the first bit is set, a binary number (GNU).
  private static func number(_ field: ArraySlice<UInt8>) -> UInt64? {
    if let first = field.first, first & 0x80 != 0 {
      let bytes = [first & 0x7F] + field.dropFirst()
      guard bytes.dropLast(8).allSatisfy({ $0 == 0 }) else { return nil }
      return bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
    let digits = field.drop { $0 == 32 }.prefix { (48...55).contains($0) }
    return UInt64(String(decoding: digits, as: UTF8.self), radix: 8)
  }

  private static func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes.prefix { $0 != 0 }), as: UTF8.self)
  }

  /// The `path` of a pax header, whose records are `LENGTH KEY=VALUE\n`.
  private static func paxPath(_ data: Data) -> String? {
    var rest = [UInt8](data)[...]
    var path: String?
    while let blank = rest.firstIndex(of: 32), let length = Int(String(decoding: rest[..<blank], as: UTF8.self)),
      length > blank - rest.startIndex + 1, length <= rest.count
    {
      let record = rest[(blank + 1)..<(rest.startIndex + length - 1)]
      if record.starts(with: "path=".utf8) { path = String(decoding: record.dropFirst(5), as: UTF8.self) }
      rest = rest.dropFirst(length)
    }
    return path
  }
}
