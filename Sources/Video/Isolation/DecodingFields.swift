// The bytes of a message between a process and its decoder: numbers and texts, one after another. Both ends are the
// same program on the same machine, yet nothing that comes from a decoder may end the process that reads it.
import Glibc

/// Puts fields together.
struct FieldWriter {
  private(set) var bytes: [UInt8] = []

  mutating func put(_ number: UInt64) {
    unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
  }

  mutating func put(_ number: Int) { put(UInt64(bitPattern: Int64(number))) }
  mutating func put(_ number: Double) { put(number.bitPattern) }
  mutating func put(_ flag: Bool) { put(flag ? 1 as UInt64 : 0) }

  /// 0 for nil; else 1 and the number.
  mutating func put(_ number: Int?) {
    put(number != nil)
    if let number { put(number) }
  }

  mutating func put(_ text: String) { put(Array(text.utf8)) }

  mutating func put(_ block: [UInt8]) {
    put(block.count)
    bytes += block
  }

  mutating func put(_ numbers: [Double]) {
    put(numbers.count)
    unsafe numbers.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  mutating func put(_ numbers: [Int]) {
    put(numbers.count)
    unsafe numbers.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }
}

/// Takes fields apart. Where the bytes end too early, or hold what cannot be, it throws.
struct FieldReader {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func unsigned() throws(DecoderEnd) -> UInt64 {
    guard bytes.count - place >= 8 else { throw .nonsense }
    defer { place += 8 }
    return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: place, as: UInt64.self) }
  }

  mutating func int() throws(DecoderEnd) -> Int { Int(Int64(bitPattern: try unsigned())) }
  mutating func double() throws(DecoderEnd) -> Double { Double(bitPattern: try unsigned()) }

  mutating func flag() throws(DecoderEnd) -> Bool {
    let number = try unsigned()
    guard number <= 1 else { throw .nonsense }
    return number == 1
  }

  mutating func optional() throws(DecoderEnd) -> Int? { try flag() ? try int() : nil }

  mutating func text() throws(DecoderEnd) -> String { String(decoding: try block(), as: UTF8.self) }

  mutating func block() throws(DecoderEnd) -> [UInt8] {
    let count = try count(of: 1)
    defer { place += count }
    return Array(bytes[place..<place + count])
  }

  mutating func doubles() throws(DecoderEnd) -> [Double] {
    var numbers: [Double] = []
    let count = try count(of: 8)
    numbers.reserveCapacity(count)
    for _ in 0..<count { numbers.append(try double()) }
    return numbers
  }

  mutating func ints() throws(DecoderEnd) -> [Int] {
    var numbers: [Int] = []
    let count = try count(of: 8)
    numbers.reserveCapacity(count)
    for _ in 0..<count { numbers.append(try int()) }
    return numbers
  }

  /// How many elements of `size` bytes follow.
  mutating func count(of size: Int) throws(DecoderEnd) -> Int {
    let count = try int()
    guard count >= 0, count <= (bytes.count - place) / size else { throw .nonsense }
    return count
  }

  /// - Throws: `DecoderEnd.nonsense` if something follows.
  func end() throws(DecoderEnd) { if place != bytes.count { throw .nonsense } }
}
