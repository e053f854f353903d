// The public half of a process's keys, as it travels in messages and lies in the journal.
import Shared

/// Whoever has it can tell whether a connection's other side holds the secret half. It is no secret.
public struct PublicKey: Hashable, Sendable, Codable, CustomStringConvertible {
  public static let count = 32

  /// 32 of them.
  public let bytes: [UInt8]

  /// - Returns: nil for another number of bytes than 32.
  public init?(bytes: some Sequence<UInt8>) {
    self.bytes = Array(bytes)
    guard self.bytes.count == Self.count else { return nil }
  }

  /// - Returns: nil for anything but 64 lower-case hexadecimal digits.
  public init?(_ text: String) {
    guard let bytes = hexadecimalBytes(text) else { return nil }
    self.init(bytes: bytes)
  }

  public var description: String { hexadecimal(bytes) }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let key = PublicKey(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "no public key")
    }
    self = key
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// A worker that another one may admit, and ask for a state.
public struct Peer: Hashable, Sendable, Codable {
  public var identity: WorkerIdentity
  public var endpoint: String
  public var key: PublicKey

  public init(identity: WorkerIdentity, endpoint: String, key: PublicKey) {
    self.identity = identity
    self.endpoint = endpoint
    self.key = key
  }
}
