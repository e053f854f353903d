// What a coordinator hands to a worker that it starts: one line on the worker's standard input, and nowhere else.
import Foundation
import Glibc
import Shared
import Wire

/// A worker's keys: its own, and the coordinator's public one, which it pins.
public struct WorkerKeys: Sendable {
  public let own: KeyPair
  public let coordinator: PublicKey
  /// The life that the keys are for; nil for keys from files, which are those of all lives of a rank.
  public let incarnation: UInt64?

  public init(own: KeyPair, coordinator: PublicKey, incarnation: UInt64? = nil) {
    self.own = own
    self.coordinator = coordinator
    self.incarnation = incarnation
  }

  /// From a folder of keys.
  public init(_ files: KeyFiles, rank: Int) throws {
    self.init(own: try files.worker(rank: rank), coordinator: try files.coordinatorKey())
  }

  /// `tamring-keys 1 INCARNATION COORDINATOR SECRET`, with a line feed; keys in hexadecimal digits.
  public var line: [UInt8] {
    Array("\(Self.head) \(incarnation ?? 0) \(coordinator) \(own.secretKey.text)\n".utf8)
  }

  private static let head = "tamring-keys 1"

  /// Reads the line from a descriptor, byte by byte: what follows is left there.
  /// - Throws: `SharedError(.badConfiguration)` if something else comes, or nothing.
  public init(readingFrom descriptor: Int32) throws {
    var text: [UInt8] = []
    var byte: UInt8 = 0
    while text.count < 512 {
      let count = unsafe read(descriptor, &byte, 1)
      if count < 0, errno == EINTR { continue }
      guard count == 1, byte != UInt8(ascii: "\n") else { break }
      text.append(byte)
    }
    let words = String(decoding: text, as: UTF8.self).split(separator: " ")
    guard words.count == 5, words[0] + " " + words[1] == Self.head, let incarnation = UInt64(words[2]),
      let coordinator = PublicKey(String(words[3])),
      let secret = SecretKey(String(words[4]))
    else {
      throw SharedError(
        .badConfiguration,
        "--keys -: no keys on standard input; only a coordinator starts a worker so. By hand, give --keys DIR")
    }
    self.init(own: KeyPair(secret), coordinator: coordinator, incarnation: incarnation)
  }
}
