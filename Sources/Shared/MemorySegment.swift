// Shared memory between processes of one machine.
import CLinux
import Glibc

/// A block of memory that other processes on this machine can map, with a generation tag for its contents.
///
/// It has no name in the file system, so the kernel frees it when the last process that maps it ends, however it ends.
///
/// Sendable for the same reason as `AlignedStorage`: its users synchronise reads and writes themselves.
@safe
public final class MemorySegment: @unchecked Sendable {
  /// Identifies a segment, so that another process can map it and verify it.
  public struct Name: Hashable, Sendable {
    /// The number of the door where its process hands it out.
    public var door: UInt64
    /// The size of the contents.
    public var bytes: UInt64
    /// Random, and stored in the segment.
    public var nonce: UInt64

    public init(door: UInt64, bytes: UInt64, nonce: UInt64) {
      (self.door, self.bytes, self.nonce) = (door, bytes, nonce)
    }
  }

  /// The trailer behind the contents: the nonce, then the generation tag.
  private static let trailerBytes = 64
  private static let largest = 1 << 40
  private static let hugePage = 2 << 20

  public let name: Name
  private let descriptor: Int32
  private let reserved: UnsafeMutableRawBufferPointer
  private let base: UnsafeMutableRawPointer
  /// Whether this process made it, and hands it out.
  private var isOwn = false

  /// Creates a zeroed segment; nil if the system has no such memory.
  public static func create(bytes: Int) -> MemorySegment? {
    precondition((0..<largest).contains(bytes), "a segment of \(bytes) bytes")
    guard let door = MemoryDoor.own else { return nil }
    let descriptor = unsafe createMemory("tamring", off_t(length(of: bytes)))
    if descriptor == -1 { return nil }
    let name = Name(door: door.number, bytes: UInt64(bytes), nonce: .random(in: 1 ... .max))
    guard let segment = MemorySegment(name, descriptor, PROT_READ | PROT_WRITE) else { return nil }
    door.offer(name.nonce, descriptor)
    segment.isOwn = true
    unsafe segment.trailer.storeBytes(of: name.nonce, as: UInt64.self)
    segment.useHugePages()
    return segment
  }

  /// Maps another process's segment; nil if it is not on this machine, or if this user may not read it.
  /// - Parameter isWritable: whether this process may write to it, too.
  public static func open(_ name: Name, isWritable: Bool = false) -> MemorySegment? {
    guard name.bytes < UInt64(largest), let descriptor = MemoryDoor.fetch(name.nonce, from: name.door) else {
      return nil
    }
    var status = stat()
    guard cannotShrink(descriptor) == 1, unsafe fstat(descriptor, &status) == 0,
      Int(status.st_size) == length(of: Int(name.bytes))
    else {
      close(descriptor)
      return nil
    }
    guard let segment = MemorySegment(name, descriptor, isWritable ? PROT_READ | PROT_WRITE : PROT_READ),
      unsafe segment.trailer.load(as: UInt64.self) == name.nonce
    else { return nil }
    return segment
  }

  /// Takes ownership of the descriptor, and maps it at a huge-page boundary.
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
    if isOwn { MemoryDoor.own?.withdraw(name.nonce) }
    unsafe munmap(reserved.baseAddress, reserved.count)
    close(descriptor)
  }

  /// The generation tag. The writer changes it before it overwrites the contents; a reader checks it after reading, to
  /// see whether what it read was still valid.
  public var word: UInt32 {
    get { unsafe loadAfterReads(wordPlace) }
    set { unsafe storeBeforeWrites(wordPlace, newValue) }
  }

  /// A range of the contents.
  public func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= Int(name.bytes), "bytes \(range) of \(name.bytes)")
    return unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
  }

  /// The contents, for a process that may write to it.
  public func place(_ offset: Int) -> UnsafeMutableRawPointer { unsafe base + offset }

  /// Asks for huge pages, because shared memory comes in small ones by default. If that fails, small ones do as well.
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

  /// The size of contents and trailer.
  private static func length(of bytes: Int) -> Int { (bytes + 63) & ~63 + trailerBytes }
}
