// The one type that owns raw memory for numbers; everything else borrows from it.

/// A fixed-size, zero-initialised block of numbers, aligned to a cache line.
///
/// Sendable because it is a plain block of memory whose users divide it among threads themselves: two threads
/// never write the same element, nor read one that another writes, without synchronising outside.
@safe
public final class AlignedStorage<Element: BitwiseCopyable>: @unchecked Sendable {
  public let count: Int
  public let base: UnsafeMutablePointer<Element>

  /// - Parameter count: elements; 0 is allowed.
  public init(count: Int) {
    precondition(count >= 0, "a negative count: \(count)")
    let bytes = max(64, (count * MemoryLayout<Element>.stride + 63) & ~63)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe base = raw.bindMemory(to: Element.self, capacity: max(1, count))
    self.count = count
  }

  public convenience init(_ values: some Collection<Element>) {
    self.init(count: values.count)
    for (i, value) in values.enumerated() { unsafe base[i] = value }
  }

  deinit { unsafe base.deallocate() }

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

  public func zero() { unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0) }
}

public typealias FloatStorage = AlignedStorage<Float>
