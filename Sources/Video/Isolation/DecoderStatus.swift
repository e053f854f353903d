// What a decoder shows of itself while it works, in memory that it shares with the process that asked.
import CLinux
import Shared

/// A page of memory with two numbers, which the decoder writes and the other process reads.
struct DecoderStatus: Sendable {
  private let segment: MemorySegment

  var name: MemorySegment.Name { segment.name }

  /// - Returns: nil where the system has no shared memory.
  static func create() -> DecoderStatus? { MemorySegment.create(bytes: 64).map { DecoderStatus(segment: $0) } }

  static func open(_ name: MemorySegment.Name) -> DecoderStatus? {
    name.bytes < 64 ? nil : MemorySegment.open(name, isWritable: true).map { DecoderStatus(segment: $0) }
  }

  /// Grows with the work.
  var progress: UInt64 {
    get { unsafe loadCount(place(0)) }
    nonmutating set { unsafe storeCount(place(0), newValue) }
  }

  /// Whether it waits for a file.
  var isReading: Bool {
    get { unsafe loadCount(place(8)) != 0 }
    nonmutating set { unsafe storeCount(place(8), newValue ? 1 : 0) }
  }

  private func place(_ offset: Int) -> UnsafeMutablePointer<UInt64> {
    unsafe segment.place(offset).assumingMemoryBound(to: UInt64.self)
  }
}
