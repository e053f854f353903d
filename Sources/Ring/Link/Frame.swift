// What goes over a link: a header of 56 bytes and a payload, all little-endian.
import CXXHash
import Foundation
import Shared

/// An outgoing frame. Its own bytes never change once the transport, which may borrow them, has the frame. A lent
/// payload may change when nobody needs the frame any more: a retransmission still in flight then arrives damaged.
public struct FrameBytes {
  /// The header, followed by the payload unless that is lent.
  let storage: AlignedStorage<UInt8>
  private let length: Int
  private let lent: LentBytes?
  private let payloadChecksum: UInt64

  /// - Parameter length: bytes in `storage`.
  init(storage: AlignedStorage<UInt8>, length: Int, lent: LentBytes? = nil) {
    self.storage = storage
    self.length = length
    self.lent = lent
    // Hash now, while the payload is in the caches.
    payloadChecksum = unsafe Frame.checksum(
      lent?.raw ?? UnsafeRawBufferPointer(rebasing: storage.bytes[Frame.headerBytes..<length]))
  }

  public var count: Int { length + (lent?.count ?? 0) }

  /// The message parts: one, or the header and the lent payload.
  public var parts: [LentBytes] {
    let own = storage.lend(0..<length)
    return lent.map { [own, $0] } ?? [own]
  }

  public var array: [UInt8] { parts.flatMap { unsafe Array($0.raw) } }

  /// Gives the frame its number and its checksum.
  func seal(sequence: UInt64) {
    unsafe storage.bytes.storeBytes(of: sequence.littleEndian, toByteOffset: 32, as: UInt64.self)
    let header = unsafe UnsafeRawBufferPointer(rebasing: storage.bytes[..<Frame.headerBytes])
    let checksum = unsafe Frame.checksum(header: header, payload: payloadChecksum)
    unsafe storage.bytes.storeBytes(of: checksum.littleEndian, toByteOffset: 0, as: UInt64.self)
  }
}

/// A frame as it arrived: header and payload in one part or in two.
public struct FrameMessage {
  let header: Data
  let payload: Data

  public var count: Int { header.count + payload.count }

  /// - Parameter parts: one or two.
  public init(_ parts: some Collection<Data>) {
    let first = parts.first ?? Data()
    header = first.prefix(Frame.headerBytes)
    payload = parts.count > 1 ? parts.dropFirst().first ?? Data() : first.dropFirst(Frame.headerBytes)
  }

  /// Whether the first of two parts is exactly a header.
  var isWhole: Bool { header.count == Frame.headerBytes }
}

/// A pool of reusable memory for frames.
struct FramePool {
  private let capacity: Int
  private var free: [AlignedStorage<UInt8>] = []

  /// - Parameter payload: the usual largest payload, in bytes.
  init(payload: Int) { capacity = Frame.headerBytes + payload }

  mutating func take(payload: Int) -> AlignedStorage<UInt8> {
    let wanted = Frame.headerBytes + payload
    // A uniquely referenced frame is no longer borrowed by the transport.
    while wanted <= capacity, var last = free.popLast() {
      if isKnownUniquelyReferenced(&last) { return last }
    }
    return AlignedStorage(count: max(wanted, 2 * wanted > capacity ? capacity : 0))
  }

  mutating func giveBack(_ frame: FrameBytes) {
    if frame.storage.count == capacity { free.append(frame.storage) }
  }
}

/// The header of a frame.
///
/// | offset | field | | offset | field |
/// | --- | --- | --- | --- | --- |
/// | 0 | XXH3-64 of the rest of the header, its seed the payload's XXH3-64 | | 20 | chunk, 4 bytes |
/// | 8 | magic "TMRG" | | 24 | step, 8 bytes |
/// | 12 | version, 1 byte | | 32 | link sequence, 8 bytes |
/// | 13 | kind, 1 byte | | 40 | bucket, 2 bytes |
/// | 14 | encoding, 1 byte | | 42 | hop, 2 bytes |
/// | 15 | attempt, 1 byte | | 44 | values before encoding, 4 bytes |
/// | 16 | generation, 4 bytes | | 48 | payload length, 4 bytes; then 4 zero bytes |
struct Frame: Equatable {
  enum Kind: UInt8 {
    case chunk = 1
    case ballot = 2
    /// All frames below `sequence` have arrived.
    case acknowledgement = 3
    /// All frames below `sequence` have arrived, and the sender must resend from `sequence` on.
    case refusal = 4
    /// The segments in which the right neighbour may read partials and sums.
    case memory = 5
  }

  static let headerBytes = 56
  /// No correct frame has a larger payload: 65,536 values of 8 bytes.
  static let maximumPayload = 1 << 19
  /// Larger stored payloads are lent to the transport, not copied.
  static let copiedPayload = 16 << 10
  private static let magic: UInt32 = 0x4752_4D54
  private static let version: UInt8 = 4

  var kind: Kind
  var generation: UInt32
  var step: UInt64 = 0
  var attempt: UInt8 = 0
  var bucket: UInt16 = 0
  var hop: UInt16 = 0
  var chunk: UInt32 = 0
  var encoding = ChunkEncoding.stored
  var valueCount: UInt32 = 0
  var sequence: UInt64 = 0

  /// Builds a frame that is not yet sealed. `fill` writes the payload into the buffer it is given, and returns how many
  /// bytes it wrote and how they are encoded.
  func bytes(
    in storage: AlignedStorage<UInt8>, payloadRoom: Int,
    fill: (UnsafeMutableRawBufferPointer) -> (ChunkEncoding, Int)
  ) -> FrameBytes {
    precondition(payloadRoom <= Frame.maximumPayload, "a payload of \(payloadRoom) bytes")
    let raw = unsafe storage.bytes
    let (encoding, length) = unsafe fill(
      UnsafeMutableRawBufferPointer(rebasing: raw[Frame.headerBytes..<Frame.headerBytes + payloadRoom]))
    unsafe writeHeader(raw, encoding, payload: length)
    return FrameBytes(storage: storage, length: Frame.headerBytes + length)
  }

  /// Builds a frame whose stored payload is lent, not copied.
  func bytes(lending payload: LentBytes) -> FrameBytes {
    precondition(payload.count <= Frame.maximumPayload, "a payload of \(payload.count) bytes")
    let storage = AlignedStorage<UInt8>(count: Frame.headerBytes)
    unsafe writeHeader(storage.bytes, .stored, payload: payload.count)
    return FrameBytes(storage: storage, length: Frame.headerBytes, lent: payload)
  }

  private func writeHeader(_ raw: UnsafeMutableRawBufferPointer, _ encoding: ChunkEncoding, payload length: Int) {
    func put(_ value: some FixedWidthInteger, _ offset: Int) {
      unsafe raw.storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
    }
    put(UInt64(0), 0)
    put(Frame.magic, 8)
    put(Frame.version, 12)
    put(kind.rawValue, 13)
    put(encoding.rawValue, 14)
    put(attempt, 15)
    put(generation, 16)
    put(chunk, 20)
    put(step, 24)
    put(sequence, 32)
    put(bucket, 40)
    put(hop, 42)
    put(valueCount, 44)
    put(UInt32(length), 48)
    put(UInt32(0), 52)
  }

  /// Builds a frame without a payload.
  func bytes() -> FrameBytes { unsafe bytes(payload: UnsafeRawBufferPointer(start: nil, count: 0)) }

  /// Builds a frame with a payload that is already encoded.
  func bytes(in storage: AlignedStorage<UInt8>? = nil, payload: UnsafeRawBufferPointer) -> FrameBytes {
    let storage = storage ?? AlignedStorage(count: Frame.headerBytes + payload.count)
    return unsafe bytes(in: storage, payloadRoom: payload.count) { room in
      unsafe room.copyMemory(from: payload)
      return (encoding, payload.count)
    }
  }

  /// Parses the header of a received frame; nil if the bytes are damaged or not a frame of this version.
  static func decode(_ message: FrameMessage) -> Frame? {
    guard message.isWhole, message.payload.count <= maximumPayload else { return nil }
    return unsafe message.header.withUnsafeBytes { header in
      unsafe message.payload.withUnsafeBytes { unsafe decode(header, payload: $0) }
    }
  }

  private static func decode(_ raw: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) -> Frame? {
    func get<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, _ offset: Int) -> Value {
      unsafe Value(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: type))
    }
    guard unsafe get(UInt64.self, 0) == checksum(header: raw, payload: checksum(payload)), get(UInt32.self, 8) == magic,
      get(UInt8.self, 12) == version,
      let kind = Kind(rawValue: get(UInt8.self, 13)), let encoding = ChunkEncoding(rawValue: get(UInt8.self, 14)),
      Int(get(UInt32.self, 48)) == payload.count, get(UInt32.self, 52) == 0
    else { return nil }
    return Frame(
      kind: kind, generation: get(UInt32.self, 16), step: get(UInt64.self, 24), attempt: get(UInt8.self, 15),
      bucket: get(UInt16.self, 40), hop: get(UInt16.self, 42), chunk: get(UInt32.self, 20), encoding: encoding,
      valueCount: get(UInt32.self, 44), sequence: get(UInt64.self, 32))
  }

  /// Of a payload.
  static func checksum(_ payload: UnsafeRawBufferPointer) -> UInt64 {
    unsafe tamring_xxh3_64(payload.baseAddress, payload.count)
  }

  static func checksum(header: UnsafeRawBufferPointer, payload: UInt64) -> UInt64 {
    let rest = unsafe UnsafeRawBufferPointer(rebasing: header[8...])
    return unsafe tamring_xxh3_64_seeded(rest.baseAddress, rest.count, payload)
  }
}
