// Memory that one process writes and others of its machine read.
import CLinux
import Foundation
import Glibc

/// A block of memory that processes of this machine can map to read it, with a word that says whose contents it holds.
///
/// It has no name in any folder: it goes when the last process that maps it has gone, however that ended.
///
/// Sendable as `AlignedStorage` is: who reads and writes when is agreed upon outside.
@safe
public final class MemorySegment: @unchecked Sendable {
  /// How another process finds a segment, and knows that it is this one.
  public struct Name: Hashable, Sendable {
    public var process: UInt32
    public var descriptor: UInt32
    /// Of the contents.
    public var bytes: UInt64
    /// Drawn at random, and written in the segment: a process of another machine may have the same number.
    public var nonce: UInt64

    public init(process: UInt32, descriptor: UInt32, bytes: UInt64, nonce: UInt64) {
      (self.process, self.descriptor, self.bytes, self.nonce) = (process, descriptor, bytes, nonce)
    }
  }

  private static let label = "tamring"
  /// Behind the contents: the nonce, then the word.
  private static let trailerBytes = 64
  private static let largest = 1 << 40
  private static let hugePage = 2 << 20

  public let name: Name
  private let descriptor: Int32
  private let reserved: UnsafeMutableRawBufferPointer
  private let base: UnsafeMutableRawPointer

  /// A new one, zero. nil where the system has no such memory.
  public static func create(bytes: Int) -> MemorySegment? {
    precondition((0..<largest).contains(bytes), "a segment of \(bytes) bytes")
    let descriptor = unsafe createMemory(label, off_t(length(of: bytes)))
    if descriptor == -1 { return nil }
    let name = Name(
      process: UInt32(getpid()), descriptor: UInt32(descriptor), bytes: UInt64(bytes), nonce: .random(in: 1 ... .max))
    guard let segment = MemorySegment(name, descriptor, PROT_READ | PROT_WRITE) else { return nil }
    unsafe segment.trailer.storeBytes(of: name.nonce, as: UInt64.self)
    segment.useHugePages()
    return segment
  }

  /// Another process's, to be read only. nil where it is not on this machine, or may not be seen by this user.
  public static func open(_ name: Name) -> MemorySegment? {
    guard name.bytes < UInt64(largest) else { return nil }
    let path = "/proc/\(name.process)/fd/\(name.descriptor)"
    // Nothing else is opened: that could have effects.
    guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path),
      target.hasPrefix("/memfd:\(label)")
    else { return nil }
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    if descriptor == -1 { return nil }
    var status = stat()
    guard cannotShrink(descriptor) == 1, unsafe fstat(descriptor, &status) == 0,
      Int(status.st_size) == length(of: Int(name.bytes))
    else {
      close(descriptor)
      return nil
    }
    guard let segment = MemorySegment(name, descriptor, PROT_READ),
      unsafe segment.trailer.load(as: UInt64.self) == name.nonce
    else { return nil }
    return segment
  }

  /// Takes the descriptor. It is mapped at a huge page's boundary.
  private init?(_ name: Name, _ descriptor: Int32, _ protection: Int32) {
    let length = Self.length(of: Int(name.bytes))
    let room = length + Self.hugePage
    let start = unsafe mmap(nil, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let start = unsafe start, unsafe start != MAP_FAILED else {
      close(descriptor)
      return nil
    }
    let wanted = unsafe start.alignedUp(toMultipleOf: Self.hugePage)
    guard unsafe mmap(wanted, length, protection, MAP_SHARED | MAP_FIXED, descriptor, 0) == wanted else {
      unsafe munmap(start, room)
      close(descriptor)
      return nil
    }
    self.name = name
    self.descriptor = descriptor
    unsafe reserved = UnsafeMutableRawBufferPointer(start: start, count: room)
    unsafe base = wanted
  }

  deinit {
    unsafe munmap(reserved.baseAddress, reserved.count)
    close(descriptor)
  }

  /// Whose contents it holds. Set before they are written anew; read after they were read, it tells whether they still
  /// were.
  public var word: UInt32 {
    get { unsafe loadAfterReads(wordPlace) }
    set { unsafe storeBeforeWrites(wordPlace, newValue) }
  }

  /// A part of the contents.
  public func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= Int(name.bytes), "bytes \(range) of \(name.bytes)")
    return unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
  }

  /// For who made it.
  func place(_ offset: Int) -> UnsafeMutableRawPointer { unsafe base + offset }

  /// Systems give such memory in small pages unless told otherwise. Where huge ones are refused, these do as well.
  private func useHugePages() {
    let length = Self.length(of: Int(name.bytes)) & ~(Self.hugePage - 1)
    // Only what has one small page becomes a huge one.
    for offset in stride(from: 0, to: length, by: Self.hugePage) {
      unsafe base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
    }
    if length > 0 { unsafe collapseIntoHugePages(base, length) }
  }

  private var trailer: UnsafeMutableRawPointer { unsafe base + Self.length(of: Int(name.bytes)) - Self.trailerBytes }

  private var wordPlace: UnsafeMutablePointer<UInt32> { unsafe (trailer + 8).assumingMemoryBound(to: UInt32.self) }

  /// Contents and trailer.
  private static func length(of bytes: Int) -> Int { (bytes + 63) & ~63 + trailerBytes }
}
