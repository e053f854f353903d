// Sorts more rows than memory holds: they wait in a temporary file, and only a few bytes of each are in memory.
import Glibc
import Shared

/// Rows of a key and other bytes, which come in any order and are read sorted by the bytes of their keys.
///
/// Memory: 16 bytes a row while it sorts. It belongs to one thread at a time.
final class RowSorter {
  /// A row's first bytes behind what all keys begin with, and its place in the temporary file.
  private struct Place {
    var start: UInt64
    var offset: Int
  }

  /// The lengths of the key and of the rest, and a check of both.
  private static let headBytes = 16
  /// Rows that are read before their memory is given back.
  private static let window = 1 << 18
  /// Pairs of rows that are compared before their memory is given back.
  private static let comparisons = 1 << 17

  private let file: OutputFile
  private(set) var count = 0
  /// Bytes of all keys and rests.
  private(set) var keyBytes = 0
  private(set) var restBytes = 0
  private var order: ContiguousArray<Place> = []
  private var bytes: MappedBytes?

  /// In a file without a name.
  init(folder: String) throws(DatasetError) { file = try OutputFile.temporary(in: folder) }

  /// In a file with a name, from which `forEachRow(kept:)` reads the rows if this process ends before its work.
  init(keeping path: String) throws(DatasetError) { file = try OutputFile.create(path) }

  /// Hands what was added to the system: it outlives this process, if the file has a name.
  func flush() throws(DatasetError) { try file.flush() }

  func add(key: some Collection<UInt8>, rest: some Collection<UInt8>) throws(DatasetError) {
    precondition(bytes == nil, "a row came after the rows were sorted")
    guard let keyCount = UInt32(exactly: key.count), let restCount = UInt32(exactly: rest.count) else {
      throw DatasetError(.badData, "a row of \(key.count) and \(rest.count) bytes is too long")
    }
    var row: [UInt8] = []
    row.reserveCapacity(Self.headBytes + key.count + rest.count)
    row.append(littleEndian: keyCount)
    row.append(littleEndian: restCount)
    row.append(littleEndian: UInt64(0))
    row.append(contentsOf: key)
    row.append(contentsOf: rest)
    let check = unsafe row.withUnsafeBytes {
      unsafe Self.check(UnsafeRawBufferPointer(rebasing: $0[Self.headBytes...]))
    }
    unsafe withUnsafeBytes(of: check.littleEndian) { unsafe row.replaceSubrange(8..<Self.headBytes, with: $0) }
    try file.write(row)
    count += 1
    keyBytes += key.count
    restBytes += rest.count
  }

  /// Sorts what was added. No row can be added after.
  func sort() throws(DatasetError) {
    let mapped = try file.mapped()
    bytes = mapped
    let common = commonStart(mapped)
    order.reserveCapacity(count)
    unsafe walk(mapped) { offset, key in
      var start: UInt64 = 0
      for place in 0..<8 {
        start = start << 8 | (common + place < key.count ? UInt64(unsafe key[common + place]) : 0)
      }
      order.append(Place(start: start, offset: offset))
    }
    var compared = 0
    order.sort { a, b in
      if a.start != b.start { return a.start < b.start }
      compared &+= 1
      if compared % Self.comparisons == 0 { mapped.release(0..<mapped.count) }
      return a.offset != b.offset && precedes(mapped, a.offset, b.offset)
    }
  }

  /// Passes on each row, in order.
  /// - Parameter body: gets key and rest.
  func forEach(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DatasetError) -> Void
  ) throws(DatasetError) {
    guard let bytes else { preconditionFailure("the rows are not sorted yet") }
    for (number, place) in order.enumerated() {
      if number % Self.window == 0 { bytes.release(0..<bytes.count) }
      try unsafe row(bytes, place.offset) { key, rest throws(DatasetError) in try unsafe body(key, rest) }
    }
  }

  /// The rows that an earlier process kept in a named file, up to the first that is not whole.
  /// - Parameter body: gets key and rest.
  static func forEachRow(
    kept path: String, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DatasetError) -> Void
  ) throws(DatasetError) {
    let bytes = try MappedBytes(file: path)
    var offset = 0
    while bytes.count - offset >= headBytes {
      let key = Int(bytes.number(at: offset, as: UInt32.self))
      let rest = Int(bytes.number(at: offset + 4, as: UInt32.self))
      let start = offset + headBytes
      guard key + rest <= bytes.count - start else { return }
      let expected: UInt64 = bytes.number(at: offset + 8)
      let isWhole = try unsafe bytes.read(start..<start + key + rest) { whole throws(DatasetError) in
        guard unsafe check(whole) == expected else { return false }
        try unsafe body(
          UnsafeRawBufferPointer(rebasing: whole[..<key]), UnsafeRawBufferPointer(rebasing: whole[key...]))
        return true
      }
      guard isWhole else { return }
      offset = start + key + rest
    }
  }

  /// Of the bytes of a row; never that of zeros.
  private static func check(_ row: UnsafeRawBufferPointer) -> UInt64 { unsafe Digest128(of: row).low | 1 }

  private func row<Result>(
    _ bytes: MappedBytes, _ offset: Int,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DatasetError) -> Result
  ) throws(DatasetError) -> Result {
    let key = Int(bytes.number(at: offset, as: UInt32.self))
    let rest = Int(bytes.number(at: offset + 4, as: UInt32.self))
    let start = offset + Self.headBytes
    return try unsafe bytes.read(start..<start + key + rest) { whole throws(DatasetError) in
      try unsafe body(
        UnsafeRawBufferPointer(rebasing: whole[..<key]), UnsafeRawBufferPointer(rebasing: whole[key...]))
    }
  }

  private func precedes(_ bytes: MappedBytes, _ a: Int, _ b: Int) -> Bool {
    let first = a + Self.headBytes..<a + Self.headBytes + Int(bytes.number(at: a, as: UInt32.self))
    let second = b + Self.headBytes..<b + Self.headBytes + Int(bytes.number(at: b, as: UInt32.self))
    return unsafe bytes.read(first) { x in unsafe bytes.read(second) { y in unsafe precedesInBytes(x, y) } }
  }

  /// How many bytes all keys begin with alike.
  private func commonStart(_ bytes: MappedBytes) -> Int {
    var common: [UInt8]?
    unsafe walk(bytes) { _, key in
      guard var start = common else {
        common = unsafe Array(key)
        return
      }
      var same = 0
      while same < start.count, same < key.count, unsafe start[same] == key[same] { same += 1 }
      if same < start.count {
        start.removeLast(start.count - same)
        common = start
      }
    }
    return common?.count ?? 0
  }

  /// In the order in which the rows came.
  private func walk(_ bytes: MappedBytes, _ body: (Int, UnsafeRawBufferPointer) -> Void) {
    var offset = 0
    var released = 0
    for number in 0..<count {
      let key = Int(bytes.number(at: offset, as: UInt32.self))
      let rest = Int(bytes.number(at: offset + 4, as: UInt32.self))
      let start = offset + Self.headBytes
      unsafe bytes.read(start..<start + key) { unsafe body(offset, $0) }
      offset = start + key + rest
      if number % Self.window == 0 {
        bytes.release(released..<offset)
        released = offset
      }
    }
    bytes.release(released..<offset)
  }
}

/// The order of names everywhere in Tamring: by bytes.
func precedesInBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  let common = min(a.count, b.count)
  if common > 0, let x = a.baseAddress, let y = b.baseAddress {
    let order = unsafe memcmp(x, y, common)
    if order != 0 { return order < 0 }
  }
  return a.count < b.count
}

extension [UInt8] {
  /// Appends a number, little-endian.
  mutating func append(littleEndian value: some FixedWidthInteger) {
    unsafe Swift.withUnsafeBytes(of: value.littleEndian) { unsafe append(contentsOf: $0) }
  }
}
