// CURVE keys: what a process proves itself with, and how it makes them.
import CSodium
import Shared
import Wire

/// The secret half of a key pair. Its bytes are wiped from memory when nobody needs it any more, and no description
/// shows them.
///
/// Sendable because the bytes never change while it lives.
@safe
public final class SecretKey: @unchecked Sendable, CustomStringConvertible {
  public static let count = 32
  private let bytes: UnsafeMutableRawBufferPointer

  /// - Returns: nil for anything but 64 lower-case hexadecimal digits.
  convenience init?(_ text: String) {
    guard let bytes = hexadecimalBytes(text) else { return nil }
    self.init(bytes)
  }

  /// - Returns: nil for another number of bytes than 32.
  init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.count else { return nil }
    unsafe self.bytes = .allocate(byteCount: Self.count, alignment: 16)
    unsafe self.bytes.copyBytes(from: bytes)
  }

  deinit {
    unsafe sodium_memzero(bytes.baseAddress, Self.count)
    unsafe bytes.deallocate()
  }

  public func withBytes<Result>(_ body: (UnsafePointer<UInt8>) throws -> Result) rethrows -> Result {
    let typed = unsafe bytes.bindMemory(to: UInt8.self)
    return try unsafe body(UnsafePointer(typed.baseAddress!))
  }

  /// 64 hexadecimal digits, for a file or a worker's standard input.
  var text: String { unsafe hexadecimal(bytes) }

  public var description: String { "a secret key" }
}

/// A process's own keys.
public struct KeyPair: Sendable {
  public let publicKey: PublicKey
  public let secretKey: SecretKey

  /// A new pair, drawn at random.
  public init() {
    var secret = [UInt8](repeating: 0, count: SecretKey.count)
    unsafe randombytes_buf(&secret, secret.count)
    self.init(SecretKey(secret)!)
    unsafe sodium_memzero(&secret, secret.count)
  }

  /// The pair of a secret key.
  public init(_ secretKey: SecretKey) {
    self.secretKey = secretKey
    var bytes = [UInt8](repeating: 0, count: PublicKey.count)
    _ = unsafe secretKey.withBytes { unsafe crypto_scalarmult_base(&bytes, $0) }
    publicKey = PublicKey(bytes: bytes)!
  }

  /// The pair of a rank, derived from the key that all workers of a run share.
  public static func derived(from shared: SecretKey, rank: Int) -> KeyPair {
    var secret = [UInt8](repeating: 0, count: SecretKey.count)
    _ = unsafe shared.withBytes {
      unsafe crypto_kdf_derive_from_key(&secret, secret.count, UInt64(rank), "tamring ", $0)
    }
    defer { unsafe sodium_memzero(&secret, secret.count) }
    return KeyPair(SecretKey(secret)!)
  }
}

/// How a process's sockets are protected.
public enum Security: Sendable {
  /// Not at all: whoever reaches a socket may take part.
  case none
  /// By CURVE: everything is encrypted, and both sides prove who they are.
  /// - Parameters:
  ///   - own: this process's keys.
  ///   - admitted: whom it lets in.
  case keys(own: KeyPair, admitted: AdmittedKeys)

  /// For a socket that others connect to.
  var server: Socket.Protection {
    switch self {
    case .none: .none
    case .keys(let own, _): .server(own)
    }
  }

  /// For a connection to a process of this key.
  func client(of key: PublicKey?) throws -> Socket.Protection {
    switch self {
    case .none: return .none
    case .keys(let own, _):
      // Not a way around the keys: a connection to nobody in particular would tell everything to anybody.
      guard let key else { throw MessagingError("connect", "", .malformed("the key of the other side is not known")) }
      return .client(own, of: key)
    }
  }

  /// Whom a socket that others connect to lets in; nil for everybody.
  var admitted: AdmittedKeys? { if case .keys(_, let admitted) = self { admitted } else { nil } }
}
