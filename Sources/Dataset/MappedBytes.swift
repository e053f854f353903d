// A file's bytes, mapped into memory read-only. The one place of this module that owns pointers.
import Foundation
import Glibc
import Shared

/// The bytes of a file, of which only those that are looked at take memory; or bytes that are in memory already.
///
/// A file that another process shortens while it is mapped ends this process. So an index is never changed in place: a
/// new one takes its name, and a worker maps a file that has no name any more.
///
/// Sendable because nobody writes the bytes.
@safe
final class MappedBytes: @unchecked Sendable {
  let count: Int
  private let base: UnsafeRawPointer?
  /// The bytes that are in memory already.
  private let memory: Data?

  /// Bytes that are read before their memory is given back.
  private static let window = 8 << 20

  /// Maps the file at `path`.
  /// - Throws: `DatasetError` if it is not there, cannot be read, or is no regular file.
  convenience init(file path: String) throws(DatasetError) {
    // A pipe would be waited for without end.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .failed("cannot be opened", path) }
    defer { close(descriptor) }
    try self.init(descriptor: descriptor, path: path)
  }

  /// - Parameter path: what errors call the file.
  init(descriptor: Int32, path: String) throws(DatasetError) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .failed("cannot be read", path) }
    guard status.st_mode & S_IFMT == S_IFREG, let size = Int(exactly: status.st_size) else {
      throw DatasetError(.badData, "\(path): is not a regular file")
    }
    count = size
    memory = nil
    guard size > 0 else {
      unsafe base = nil
      return
    }
    let start = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let start = unsafe start, unsafe start != MAP_FAILED else { throw .failed("cannot be mapped", path) }
    unsafe base = UnsafeRawPointer(start)
  }

  init(memory: Data) {
    count = memory.count
    // A slice's indices do not begin at 0, and its bytes may lie anywhere.
    let kept = Data(memory)
    self.memory = kept
    unsafe base = nil
  }

  deinit { if let base = unsafe base { unsafe munmap(UnsafeMutableRawPointer(mutating: base), count) } }

  /// Lends some of the bytes for the duration of a call.
  func read<Result, Problem: Error>(
    _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Problem) -> Result
  ) throws(Problem) -> Result {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of \(count)")
    if let base = unsafe base {
      return try unsafe body(UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
    }
    guard let memory else { return try unsafe body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    let outcome = unsafe memory.withUnsafeBytes { bytes -> Swift.Result<Result, Problem> in
      do throws(Problem) {
        return .success(try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[range])))
      } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  /// A little-endian number at any place.
  func number<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type = Value.self) -> Value {
    unsafe read(offset..<offset + MemoryLayout<Value>.size) {
      Value(littleEndian: unsafe $0.loadUnaligned(as: Value.self))
    }
  }

  /// The bytes as text; what is not UTF-8 becomes replacement characters.
  func text(_ range: Range<Int>) -> String { unsafe read(range) { unsafe String(decoding: $0, as: UTF8.self) } }

  /// XXH3-128 of some of the bytes, in little memory.
  func digest(_ range: Range<Int>) -> Digest128 {
    let stream = Digest128Stream()
    forEachWindow(of: range) { window in unsafe read(window) { unsafe stream.update($0) } }
    return stream.finish()
  }

  /// Gives the memory of some bytes back to the system. They can be read again, from the file.
  func release(_ range: Range<Int>) {
    guard let base = unsafe base else { return }
    let page = 4096
    let start = range.lowerBound & ~(page - 1)
    let end = min(count, (range.upperBound + page - 1) & ~(page - 1))
    if start < end { unsafe madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED) }
  }

  /// All bytes, not copied; they keep the mapping.
  var data: Data {
    if let memory { return memory }
    guard let base = unsafe base else { return Data() }
    return unsafe Data(
      bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: count, deallocator: .custom { _, _ in _ = self })
  }

  private func forEachWindow(of range: Range<Int>, _ body: (Range<Int>) -> Void) {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.window) {
      let window = start..<min(start + Self.window, range.upperBound)
      body(window)
      release(window)
    }
  }
}

extension DatasetError {
  /// An operation on a file failed with the present `errno`.
  static func failed(_ operation: String, _ path: String, code: Int32 = errno) -> DatasetError {
    DatasetError(
      .ioError,
      "\(path): \(operation) (\(unsafe String(cString: strerror(code)))); check permissions and the space on its disk")
  }
}
