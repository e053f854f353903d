// XXH3-128, for content and for numbers on the wire.
import CXXHash
import Foundation

/// A 128-bit XXH3 digest: of a clip's file, of a reduced sum, of the weights.
public struct Digest128: Hashable, Sendable, Codable, CustomStringConvertible {
  public var high: UInt64
  public var low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public init(of bytes: UnsafeRawBufferPointer) {
    let hash = unsafe tamring_xxh3_128(bytes.baseAddress, bytes.count)
    self.init(high: hash.high64, low: hash.low64)
  }

  public init(of data: some ContiguousBytes) { self = unsafe data.withUnsafeBytes { unsafe Digest128(of: $0) } }

  public init?(hex: String) {
    guard hex.utf8.count == 32, let high = UInt64(hex.prefix(16), radix: 16),
      let low = UInt64(hex.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  /// 32 hexadecimal digits.
  public var description: String { hex(high) + hex(low) }

  private func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let digest = Digest128(hex: text) else { throw SharedError(.badData, "'\(text)' is not a 128-bit digest") }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// A running XXH3-128 over several pieces.
@safe
public struct Digest128Stream: ~Copyable {
  private let state: OpaquePointer

  public init() {
    guard let created = unsafe XXH3_createState() else { endWithoutMemory(for: 1024) }
    unsafe state = created
    _ = unsafe XXH3_128bits_reset(state)
  }

  deinit { _ = unsafe XXH3_freeState(state) }

  public func update(_ bytes: UnsafeRawBufferPointer) {
    _ = unsafe tamring_xxh3_128_update(state, bytes.baseAddress, bytes.count)
  }

  public func update(_ data: some ContiguousBytes) { unsafe data.withUnsafeBytes { unsafe update($0) } }

  public func finish() -> Digest128 {
    let hash = unsafe XXH3_128bits_digest(state)
    return Digest128(high: hash.high64, low: hash.low64)
  }
}
