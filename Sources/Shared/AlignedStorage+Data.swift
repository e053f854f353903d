// A block of memory as `Data`, without copying it.
import Foundation

extension AlignedStorage {
  /// Some elements' bytes, not copied: as they are when they are read. They keep the storage alive.
  public func data(_ range: Range<Int>) -> Data {
    let bytes = unsafe UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[range]))
    guard let start = bytes.baseAddress else { return Data() }
    return unsafe Data(bytesNoCopy: start, count: bytes.count, deallocator: .custom { _, _ in _ = self })
  }
}
