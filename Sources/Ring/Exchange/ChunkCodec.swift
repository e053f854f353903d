// Encodes a chunk of integers to bytes and back: zigzag, bit planes and LZ4; or cut to half the bytes; or stored as
// it is if neither is smaller.
import CKernels
import CLZ4
import Shared

/// How a chunk is encoded.
enum ChunkEncoding: UInt8 {
  /// Little-endian integers.
  case stored = 0
  /// LZ4 block of the zigzag bit planes.
  case lz4 = 1
  /// Little-endian integers of half the bytes, if all values fit (gradients only).
  case short = 2
  /// No bytes: the receiver reads the values in the sender's memory.
  case inMemory = 3
}

/// The two kinds of integers that are reduced.
protocol ReducibleInteger: FixedWidthInteger, BitwiseCopyable, Sendable {
  static func shuffle(_ values: UnsafePointer<Self>, _ count: Int, _ planes: UnsafeMutablePointer<UInt8>)
  static func unshuffle(_ planes: UnsafePointer<UInt8>, _ count: Int, _ values: UnsafeMutablePointer<Self>)
  /// `sums[i] = addend[i] + values[i]`; the values are little-endian and may lie at any address.
  /// - Parameter pastCaches: whether to write past the caches, because nobody reads the sums soon.
  static func add(
    _ addend: UnsafePointer<Self>, _ values: UnsafeRawPointer, _ count: Int, into sums: UnsafeMutablePointer<Self>,
    pastCaches: Bool)
  /// - Returns: whether all values fit into half of their bytes; then `shorts` holds them.
  static func shorten(_ values: UnsafePointer<Self>, _ count: Int, _ shorts: UnsafeMutableRawPointer) -> Bool
  /// `sums[i] = addend[i] + shorts[i]`, as `add`; a nil `addend` counts as zeros.
  static func addShort(
    _ addend: UnsafePointer<Self>?, _ shorts: UnsafeRawPointer, _ count: Int, into sums: UnsafeMutablePointer<Self>,
    pastCaches: Bool)
}

extension Int32: ReducibleInteger {
  static func shuffle(_ values: UnsafePointer<Int32>, _ count: Int, _ planes: UnsafeMutablePointer<UInt8>) {
    unsafe tamring_ring_shuffle32(values, count, planes)
  }

  static func unshuffle(_ planes: UnsafePointer<UInt8>, _ count: Int, _ values: UnsafeMutablePointer<Int32>) {
    unsafe tamring_ring_unshuffle32(planes, count, values)
  }

  static func add(
    _ addend: UnsafePointer<Int32>, _ values: UnsafeRawPointer, _ count: Int, into sums: UnsafeMutablePointer<Int32>,
    pastCaches: Bool
  ) { unsafe tamring_ring_add32(sums, addend, values, count, pastCaches) }

  static func shorten(_ values: UnsafePointer<Int32>, _ count: Int, _ shorts: UnsafeMutableRawPointer) -> Bool {
    unsafe tamring_ring_shorten32(values, count, shorts.assumingMemoryBound(to: Int16.self))
  }

  static func addShort(
    _ addend: UnsafePointer<Int32>?, _ shorts: UnsafeRawPointer, _ count: Int, into sums: UnsafeMutablePointer<Int32>,
    pastCaches: Bool
  ) { unsafe tamring_ring_add16(sums, addend, shorts, count, pastCaches) }
}

extension Int64: ReducibleInteger {
  static func shuffle(_ values: UnsafePointer<Int64>, _ count: Int, _ planes: UnsafeMutablePointer<UInt8>) {
    unsafe tamring_ring_shuffle64(values, count, planes)
  }

  static func unshuffle(_ planes: UnsafePointer<UInt8>, _ count: Int, _ values: UnsafeMutablePointer<Int64>) {
    unsafe tamring_ring_unshuffle64(planes, count, values)
  }

  static func add(
    _ addend: UnsafePointer<Int64>, _ values: UnsafeRawPointer, _ count: Int, into sums: UnsafeMutablePointer<Int64>,
    pastCaches: Bool
  ) { unsafe tamring_ring_add64(sums, addend, values, count) }

  /// There are few statistics, so halving them would gain nothing.
  static func shorten(_ values: UnsafePointer<Int64>, _ count: Int, _ shorts: UnsafeMutableRawPointer) -> Bool { false }

  static func addShort(
    _ addend: UnsafePointer<Int64>?, _ shorts: UnsafeRawPointer, _ count: Int, into sums: UnsafeMutablePointer<Int64>,
    pastCaches: Bool
  ) { preconditionFailure("shorten never says that they fit") }
}

/// Encodes and decodes chunks of at most `capacity` values. It owns scratch memory, so one thread may use it at a time.
final class ChunkCodec {
  private let capacity: Int
  private let planes: AlignedStorage<UInt8>
  /// Decoded values on their way to a sum.
  private let values: AlignedStorage<UInt8>

  init(capacity: Int) {
    self.capacity = capacity
    planes = AlignedStorage(count: ChunkCodec.planeBytes(capacity, of: Int64.self))
    values = AlignedStorage(count: planes.count)
  }

  /// Encodes the values into `bytes`, which is as large as the values themselves.
  /// - Returns: the number of bytes written; nil if the encoding is not smaller than the values.
  func compress<Value: ReducibleInteger>(
    _ values: UnsafeBufferPointer<Value>, into bytes: UnsafeMutableRawBufferPointer
  ) -> Int? {
    let raw = values.count * MemoryLayout<Value>.size
    precondition(values.count <= capacity && bytes.count >= raw, "a chunk of \(values.count) values")
    guard let source = values.baseAddress, let target = bytes.baseAddress, raw > 0 else { return nil }
    unsafe Value.shuffle(source, values.count, planes.base)
    let shuffled = ChunkCodec.planeBytes(values.count, of: Value.self)
    let written = unsafe planes.base.withMemoryRebound(to: CChar.self, capacity: shuffled) {
      unsafe LZ4_compress_default($0, target.assumingMemoryBound(to: CChar.self), Int32(shuffled), Int32(raw - 1))
    }
    return written > 0 ? Int(written) : nil
  }

  /// Encodes the values in half the bytes; nil if they do not fit.
  func shorten<Value: ReducibleInteger>(
    _ values: UnsafeBufferPointer<Value>, into bytes: UnsafeMutableRawBufferPointer
  ) -> Int? {
    let half = values.count * MemoryLayout<Value>.size / 2
    precondition(bytes.count >= half, "a chunk of \(values.count) values")
    guard let source = values.baseAddress, let target = bytes.baseAddress else { return nil }
    return unsafe Value.shorten(source, values.count, target) ? half : nil
  }

  /// Decodes a chunk into `values`.
  /// - Parameters:
  ///   - addend: is added to the decoded values; it may alias `values`.
  ///   - pastCaches: whether to write past the caches, because nobody reads the sums soon.
  /// - Returns: false if the bytes do not encode that many values; `values` then holds garbage.
  func decode<Value: ReducibleInteger>(
    _ bytes: UnsafeRawBufferPointer, _ encoding: ChunkEncoding, adding addend: UnsafePointer<Value>? = nil,
    into values: UnsafeMutableBufferPointer<Value>, pastCaches: Bool = false
  ) -> Bool {
    precondition(values.count <= capacity, "a chunk of \(values.count) values")
    guard let target = values.baseAddress, !values.isEmpty else { return unsafe bytes.isEmpty }
    guard let source = bytes.baseAddress else { return false }
    switch encoding {
    case .stored:
      guard bytes.count == values.count * MemoryLayout<Value>.size else { return false }
      if let addend = unsafe addend {
        unsafe Value.add(addend, source, values.count, into: target, pastCaches: pastCaches)
      } else {
        unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: bytes.count)
      }
    case .short:
      guard Value.self == Int32.self, bytes.count == values.count * MemoryLayout<Value>.size / 2 else { return false }
      unsafe Value.addShort(addend, source, values.count, into: target, pastCaches: pastCaches)
    case .inMemory: return false
    case .lz4:
      let shuffled = ChunkCodec.planeBytes(values.count, of: Value.self)
      guard bytes.count <= LZ4_MAX_INPUT_SIZE else { return false }
      let read = unsafe planes.base.withMemoryRebound(to: CChar.self, capacity: shuffled) {
        unsafe LZ4_decompress_safe(
          source.assumingMemoryBound(to: CChar.self), $0, Int32(bytes.count), Int32(shuffled))
      }
      guard Int(read) == shuffled else { return false }
      if let addend = unsafe addend {
        let scratch = unsafe UnsafeMutableRawPointer(self.values.base).assumingMemoryBound(to: Value.self)
        unsafe Value.unshuffle(planes.base, values.count, scratch)
        unsafe Value.add(addend, scratch, values.count, into: target, pastCaches: pastCaches)
      } else {
        unsafe Value.unshuffle(planes.base, values.count, target)
      }
    }
    return true
  }

  private static func planeBytes<Value: ReducibleInteger>(_ count: Int, of type: Value.Type) -> Int {
    let block = Int(tamring_ring_block)
    return (count + block - 1) / block * block * MemoryLayout<Value>.size
  }
}
