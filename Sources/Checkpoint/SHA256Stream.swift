// SHA-256 over several pieces, for files that are not held in memory.
import CSodium
import Foundation

/// A running SHA-256.
struct SHA256Stream {
  private var state = crypto_hash_sha256_state()

  init() { _ = unsafe crypto_hash_sha256_init(&state) }

  mutating func update(_ data: Data) {
    unsafe data.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      _ = unsafe crypto_hash_sha256_update(&state, start, UInt64(bytes.count))
    }
  }

  /// 64 hexadecimal digits. The stream is not to be used after.
  mutating func finish() -> String {
    var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
    _ = unsafe crypto_hash_sha256_final(&state, &digest)
    return digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
