// The one type that owns raw memory for numbers; everything else borrows from it.
import Glibc

/// A fixed-size, zero-initialised block of numbers, aligned to a cache line. Large blocks come from the system in huge
/// pages where it has them, are aligned to one, and take memory only where they are touched.
///
/// Sendable because it is a plain block of memory whose users divide it among threads themselves: two threads
/// never write the same element, nor read one that another writes, without synchronising outside.
@safe
public final class AlignedStorage<Element: BitwiseCopyable>: @unchecked Sendable {
  public let count: Int
  public let base: UnsafeMutablePointer<Element>
  /// The whole mapping of a large block.
  private let mapping: UnsafeMutableRawBufferPointer?
  /// The segment that owns the memory; nil if this storage does.
  public let segment: MemorySegment?
  /// Where in the segment the memory begins, in bytes.
  public let segmentOffset: Int
  private static var hugePage: Int { 2 << 20 }

  /// - Parameter count: elements; 0 is allowed.
  public init(count: Int) {
    precondition(count >= 0, "a negative count: \(count)")
    let (exact, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow, exact < Int.max - 4 * Self.hugePage else { endWithoutMemory(for: overflow ? Int.max : exact) }
    let bytes = max(64, (exact + 63) & ~63)
    let raw: UnsafeMutableRawPointer
    if bytes >= 2 * Self.hugePage {
      unsafe (raw, mapping) = unsafe Self.map(bytes)
    } else {
      var block: UnsafeMutableRawPointer?
      guard unsafe posix_memalign(&block, 64, bytes) == 0, let block = unsafe block else {
        endWithoutMemory(for: bytes)
      }
      unsafe raw = block
      unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
      unsafe mapping = nil
    }
    unsafe base = raw.bindMemory(to: Element.self, capacity: max(1, count))
    self.count = count
    segment = nil
    segmentOffset = 0
  }

  /// A part of a segment that this process may write to.
  /// - Parameter offset: in bytes, a multiple of 64.
  public init(in segment: MemorySegment, at offset: Int, count: Int) {
    let bytes = count * MemoryLayout<Element>.stride
    precondition(
      offset >= 0 && offset % 64 == 0 && count >= 0 && offset + bytes <= Int(segment.name.bytes),
      "\(bytes) bytes at \(offset) of \(segment.name.bytes)")
    unsafe base = segment.place(offset).bindMemory(to: Element.self, capacity: max(1, count))
    self.count = count
    self.segment = segment
    segmentOffset = offset
    unsafe mapping = nil
  }

  /// Memory that other processes can map; ordinary memory where the system has none of that kind.
  public static func shared(count: Int) -> AlignedStorage {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard count > 0, !overflow, let segment = MemorySegment.create(bytes: bytes) else {
      return AlignedStorage(count: count)
    }
    return AlignedStorage(in: segment, at: 0, count: count)
  }

  /// Fresh memory is zero; what lies before and behind the block is never touched.
  private static func map(_ bytes: Int) -> (UnsafeMutableRawPointer, UnsafeMutableRawBufferPointer) {
    let length = bytes + hugePage
    let start = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let start = unsafe start, unsafe start != MAP_FAILED else { endWithoutMemory(for: bytes) }
    let raw = unsafe start.alignedUp(toMultipleOf: hugePage)
    // If it is refused, small pages do as well.
    unsafe madvise(raw, bytes, MADV_HUGEPAGE)
    return unsafe (raw, UnsafeMutableRawBufferPointer(start: start, count: length))
  }

  public convenience init(_ values: some Collection<Element>) {
    self.init(count: values.count)
    for (i, value) in values.enumerated() { unsafe base[i] = value }
  }

  deinit {
    if segment != nil { return }
    if let mapping = unsafe mapping {
      unsafe munmap(mapping.baseAddress, mapping.count)
    } else {
      unsafe free(base)
    }
  }

  public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "index \(index) of \(count)")
      return unsafe base[index]
    }
    set {
      precondition(index >= 0 && index < count, "index \(index) of \(count)")
      unsafe base[index] = newValue
    }
  }

  /// The elements as a buffer, for kernels.
  public var buffer: UnsafeMutableBufferPointer<Element> {
    unsafe UnsafeMutableBufferPointer(start: base, count: count)
  }

  /// The elements as bytes.
  public var bytes: UnsafeMutableRawBufferPointer { unsafe UnsafeMutableRawBufferPointer(buffer) }

  /// A copy of some elements.
  public func array(_ range: Range<Int>) -> [Element] {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range \(range) of \(count)")
    return unsafe Array(UnsafeBufferPointer(start: base + range.lowerBound, count: range.count))
  }

  public var array: [Element] { array(0..<count) }

  /// Copies all of `other`, which has the same count.
  public func copy(from other: AlignedStorage<Element>) {
    precondition(other.count == count, "copying \(other.count) elements into \(count)")
    unsafe base.update(from: other.base, count: count)
  }

  /// Some elements as bytes that keep the storage alive, so that another thread may read them for any time.
  public func lend(_ range: Range<Int>) -> LentBytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "lending \(range) of \(count)")
    return unsafe LentBytes(
      owner: self, raw: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[range])))
  }

  public func zero() { unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0) }
}

/// Bytes that keep their storage alive.
@safe
public struct LentBytes {
  public let owner: AnyObject
  public let raw: UnsafeRawBufferPointer

  public var count: Int { unsafe raw.count }
}

public typealias FloatStorage = AlignedStorage<Float>
