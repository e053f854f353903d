// A file of rows that are sorted by a text and looked up by number or by that text, without reading the file into
// memory. What the rows mean is for `ClipIndex` and `ProbedFiles` to say; docs/reference.md describes the bytes.
import Foundation
import Glibc
import Shared

/// What a file of sorted rows is: its first bytes.
struct RowFormat {
  /// 8 bytes.
  let magic: String
  let version: UInt32
  /// Bytes of a row's numbers.
  let factsBytes: Int
  /// What to do about a file that cannot be used.
  let remedy: String
}

/// The rows of a file: each has a key, further text, and numbers in a fixed number of bytes.
///
/// The file, all numbers little-endian: magic (8 bytes), version (4), bytes of a row's numbers (4), number of rows (8),
/// bytes of the preamble (8), bytes of the texts (8); the preamble; the rows; the texts; XXH3-128 of all that (16). A
/// row is the place of its text (8), the bytes of its key (4) and of its further text (4), and its numbers. Texts
/// follow one another without a gap, in the order of the rows. So equal rows make equal files.
struct SortedRows: Sendable {
  static let headerBytes = 40
  static let linkBytes = 16
  static let trailerBytes = 16

  let bytes: MappedBytes
  let count: Int
  /// XXH3-128 of the whole file.
  let digest: Digest128
  let preamble: Range<Int>
  private let format: RowFormat
  private let rows: Int
  private let texts: Int

  /// Rows that are checked before their memory is given back.
  private static let window = 1 << 16

  /// Checks all of the file: nothing that is read later can be out of place.
  /// - Parameter name: what errors call the file.
  /// - Throws: `DatasetError` if the file is of another kind or version, truncated, or altered.
  init(_ bytes: MappedBytes, format: RowFormat, name: String) throws(DatasetError) {
    func damaged(_ problem: String) -> DatasetError { DatasetError(.badData, "\(name): \(problem); \(format.remedy)") }
    let magic = Array(format.magic.utf8)
    guard bytes.count >= Self.headerBytes + Self.trailerBytes else { throw damaged("is truncated") }
    guard unsafe bytes.read(0..<magic.count, { unsafe $0.elementsEqual(magic) }) else {
      throw damaged("does not begin with '\(format.magic)'")
    }
    let version: UInt32 = bytes.number(at: 8)
    guard version == format.version else {
      throw damaged("is of version \(version), and this program knows \(format.version)")
    }
    let end = bytes.count - Self.trailerBytes
    let stored = Digest128(high: bytes.number(at: end), low: bytes.number(at: end + 8))
    guard bytes.digest(0..<end) == stored else { throw damaged("is damaged: it is not what was written") }

    let rowBytes = Self.linkBytes + format.factsBytes
    guard bytes.number(at: 12, as: UInt32.self) == UInt32(format.factsBytes),
      let count = Int(exactly: bytes.number(at: 16, as: UInt64.self)),
      let preamble = Int(exactly: bytes.number(at: 24, as: UInt64.self)),
      let texts = Int(exactly: bytes.number(at: 32, as: UInt64.self)),
      // Each is compared by itself first, so that no product or sum can overflow.
      count <= end / rowBytes, preamble <= end, texts <= end,
      Self.headerBytes + preamble + count * rowBytes + texts == end
    else { throw damaged("is damaged: its parts do not make up the file") }
    self.bytes = bytes
    self.format = format
    self.count = count
    self.preamble = Self.headerBytes..<Self.headerBytes + preamble
    rows = Self.headerBytes + preamble
    self.texts = rows + count * rowBytes
    digest = bytes.digest(0..<bytes.count)
    if let problem = problem(texts: texts) { throw damaged("is damaged: \(problem)") }
  }

  /// Checks that each row's text is where it must be, is UTF-8, and comes after the one before.
  private func problem(texts all: Int) -> String? {
    var expected = 0
    var previous = texts..<texts
    for number in 0..<count {
      let link = rows + number * (Self.linkBytes + format.factsBytes)
      let key = Int(bytes.number(at: link + 8, as: UInt32.self))
      let rest = Int(bytes.number(at: link + 12, as: UInt32.self))
      guard bytes.number(at: link, as: UInt64.self) == UInt64(expected), key + rest <= all - expected else {
        return "the text of row \(number) is out of place"
      }
      let start = texts + expected
      let range = start..<start + key
      let (isText, isAfter) = unsafe bytes.read(start..<start + key + rest) { text in
        let isText = unsafe isUTF8(text[..<key]) && isUTF8(text[key...])
        if number == 0 { return (isText, true) }
        let isAfter = unsafe bytes.read(previous) { before in
          unsafe precedesInBytes(before, UnsafeRawBufferPointer(rebasing: text[..<key]))
        }
        return (isText, isAfter)
      }
      guard isText else { return "row \(number) is not UTF-8" }
      guard isAfter else { return "row \(number) does not come after the one before" }
      previous = range
      expected += key + rest
      if number % Self.window == Self.window - 1 {
        bytes.release(rows..<link)
        bytes.release(texts..<range.lowerBound)
      }
    }
    bytes.release(rows..<bytes.count)
    return expected == all ? nil : "it has texts of no row"
  }

  /// The text of a row.
  private func place(_ number: Int) -> (key: Range<Int>, rest: Range<Int>) {
    precondition(number >= 0 && number < count, "row \(number) of \(count)")
    let link = rows + number * (Self.linkBytes + format.factsBytes)
    let start = texts + Int(bytes.number(at: link, as: UInt64.self))
    let key = start + Int(bytes.number(at: link + 8, as: UInt32.self))
    return (start..<key, key..<key + Int(bytes.number(at: link + 12, as: UInt32.self)))
  }

  func key(_ number: Int) -> String { bytes.text(place(number).key) }

  /// A row's further text.
  func rest(_ number: Int) -> (range: Range<Int>, count: Int) {
    let range = place(number).rest
    return (range, range.count)
  }

  /// Where a row's numbers begin.
  func facts(_ number: Int) -> Int {
    precondition(number >= 0 && number < count, "row \(number) of \(count)")
    return rows + number * (Self.linkBytes + format.factsBytes) + Self.linkBytes
  }

  /// The row of a key; nil if there is none.
  func number(of key: String) -> Int? {
    var (low, high) = (0, count)
    var wanted = key
    return wanted.withUTF8 { wanted in
      let wanted = UnsafeRawBufferPointer(wanted)
      while low < high {
        let middle = low + (high - low) / 2
        if unsafe bytes.read(place(middle).key, { unsafe precedesInBytes($0, wanted) }) {
          low = middle + 1
        } else {
          high = middle
        }
      }
      guard low < count, unsafe bytes.read(place(low).key, { unsafe !precedesInBytes(wanted, $0) }) else { return nil }
      return low
    }
  }

  /// Gives the memory of all rows before this one back to the system.
  func release(before number: Int) {
    guard number > 0, number < count else { return bytes.release(0..<bytes.count) }
    bytes.release(0..<facts(number))
    bytes.release(texts..<place(number).key.lowerBound)
  }
}

private func isUTF8(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
  // ASCII, by far the most, needs no table.
  if unsafe text.allSatisfy({ $0 < 0x80 }) { return true }
  return unsafe String(validating: text, as: UTF8.self) != nil
}

/// Writes a file of sorted rows. It belongs to one thread at a time.
final class SortedRowsWriter {
  private let format: RowFormat
  private let preamble: [UInt8]
  private let sorter: RowSorter

  /// - Parameter folder: where the rows wait until they are sorted.
  convenience init(_ format: RowFormat, preamble: [UInt8], folder: String) throws(DatasetError) {
    self.init(format, preamble: preamble, try RowSorter(folder: folder))
  }

  init(_ format: RowFormat, preamble: [UInt8], _ sorter: RowSorter) {
    self.format = format
    self.preamble = preamble
    self.sorter = sorter
  }

  var count: Int { sorter.count }

  /// - Parameter facts: as many bytes as the format says.
  func add(key: String, rest: String, facts: [UInt8]) throws(DatasetError) {
    precondition(facts.count == format.factsBytes, "\(facts.count) bytes of numbers, not \(format.factsBytes)")
    try sorter.add(key: key.utf8, rest: facts + Array(rest.utf8))
  }

  /// Adds a row that a writer of this format kept in a named file.
  func add(kept key: UnsafeRawBufferPointer, _ rest: UnsafeRawBufferPointer) throws(DatasetError) {
    guard rest.count >= format.factsBytes else { return }
    try unsafe sorter.add(key: key, rest: rest)
  }

  /// Writes the file.
  /// - Parameter repeated: the error for a key that comes twice; nil to keep one of the two.
  func write(to file: OutputFile, repeated: ((String) -> DatasetError)? = nil) throws(DatasetError) {
    try sorter.sort()
    let facts = format.factsBytes
    var header = Array(format.magic.utf8)
    header.append(littleEndian: format.version)
    header.append(littleEndian: UInt32(facts))
    var previous: [UInt8]?
    var (rows, texts) = (0, 0)
    let isRepeated = { (key: UnsafeRawBufferPointer) throws(DatasetError) -> Bool in
      defer { previous = unsafe Array(key) }
      guard let before = previous, unsafe before.elementsEqual(key) else { return false }
      if let repeated { throw repeated(String(decoding: before, as: UTF8.self)) }
      return true
    }
    try unsafe sorter.forEach { key, rest throws(DatasetError) in
      if try unsafe isRepeated(key) { return }
      rows += 1
      texts += key.count + rest.count - facts
    }
    header.append(littleEndian: UInt64(rows))
    header.append(littleEndian: UInt64(preamble.count))
    header.append(littleEndian: UInt64(texts))
    try file.write(header)
    try file.write(preamble)
    var place: UInt64 = 0
    previous = nil
    try unsafe sorter.forEach { key, rest throws(DatasetError) in
      if try unsafe isRepeated(key) { return }
      var row: [UInt8] = []
      row.append(littleEndian: place)
      row.append(littleEndian: UInt32(key.count))
      row.append(littleEndian: UInt32(rest.count - facts))
      unsafe row.append(contentsOf: rest[..<facts])
      try file.write(row)
      place += UInt64(key.count + rest.count - facts)
    }
    previous = nil
    try unsafe sorter.forEach { key, rest throws(DatasetError) in
      if try unsafe isRepeated(key) { return }
      try unsafe file.write(key)
      try unsafe file.write(UnsafeRawBufferPointer(rebasing: rest[facts...]))
    }
    let digest = try file.written()
    var trailer: [UInt8] = []
    trailer.append(littleEndian: digest.high)
    trailer.append(littleEndian: digest.low)
    try file.write(trailer)
    try file.flush()
  }
}
