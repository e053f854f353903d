// SHA-256, for manifests and chains: whole blocks by the CPU's instructions where it has them, the rest by libsodium.
import CKernels
import CSodium
import Foundation

/// A running SHA-256 over several pieces.
public struct SHA256Stream {
  private static let blockBytes = 64
  private static let isFast = tamring_has_sha256()

  private var state = crypto_hash_sha256_state()

  public init() { _ = unsafe crypto_hash_sha256_init(&state) }

  public mutating func update(_ data: some ContiguousBytes) { unsafe data.withUnsafeBytes { unsafe update($0) } }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = unsafe bytes
    if Self.isFast, state.count / 8 % UInt64(Self.blockBytes) == 0, let start = rest.baseAddress {
      let whole = rest.count / Self.blockBytes
      unsafe withUnsafeMutableBytes(of: &state.state) {
        unsafe tamring_sha256_blocks(
          $0.assumingMemoryBound(to: UInt32.self).baseAddress, start.assumingMemoryBound(to: UInt8.self), whole)
      }
      // libsodium counts in bits.
      state.count += UInt64(whole * Self.blockBytes) * 8
      unsafe rest = UnsafeRawBufferPointer(rebasing: rest[(whole * Self.blockBytes)...])
    }
    _ = unsafe crypto_hash_sha256_update(
      &state, rest.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(rest.count))
  }

  /// 64 hexadecimal digits, as `sha256sum` prints them. The stream is not to be used after.
  public mutating func finish() -> String {
    var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
    _ = unsafe crypto_hash_sha256_final(&state, &digest)
    return hexadecimal(digest)
  }
}

/// SHA-256 as 64 hexadecimal digits, as `sha256sum` prints it.
public func sha256Hex(_ data: some ContiguousBytes) -> String {
  var stream = SHA256Stream()
  stream.update(data)
  return stream.finish()
}
