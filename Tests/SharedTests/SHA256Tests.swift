import CSodium
import Foundation
import Shared
import Testing

@Suite struct SHA256Tests {
  private func libsodium(_ data: Data) -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    _ = data.withUnsafeBytes {
      crypto_hash_sha256(&digest, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64($0.count))
    }
    return Data(digest).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test("the examples of FIPS 180-4")
  func examples() {
    #expect(sha256Hex(Data()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(sha256Hex(Data("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      sha256Hex(Data(repeating: 0x61, count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("every length, in pieces of every size, has the digest that libsodium computes at once")
  func pieces() {
    let bytes = Data((0..<700).map { UInt8(truncatingIfNeeded: $0 &* 37 ^ $0 >> 3) })
    for length in 0...300 { #expect(sha256Hex(bytes.prefix(length)) == libsodium(bytes.prefix(length))) }
    for size in 1...200 {
      var stream = SHA256Stream()
      for start in stride(from: 0, to: bytes.count, by: size) { stream.update(bytes[start..<min(start + size, 700)]) }
      #expect(stream.finish() == libsodium(bytes), "pieces of \(size) bytes")
    }
  }
}
