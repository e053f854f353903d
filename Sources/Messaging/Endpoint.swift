// The address at which a socket listens or to which it connects.
import Glibc

/// An address of a socket: `tcp://HOST:PORT`, or `inproc://NAME` between threads.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
  /// The host is a name, an IPv4 address, an IPv6 address without brackets, or `*` (listen at all addresses).
  /// Port 0 takes any free port.
  case tcp(host: String, port: UInt16)
  case inProcess(String)

  /// - Throws: `MessagingError` with what is wrong with `text`.
  public init(_ text: String) throws {
    func fail(_ reason: String) -> MessagingError {
      MessagingError("endpoint", "'\(text)'", .malformed("\(reason); write tcp://HOST:PORT"))
    }
    if text.hasPrefix("inproc://") {
      let name = text.dropFirst("inproc://".count)
      guard !name.isEmpty, name.utf8.count < 200 else { throw fail("no usable name") }
      self = .inProcess(String(name))
      return
    }
    guard text.hasPrefix("tcp://") else { throw fail("the transport is not tcp") }
    let rest = text.dropFirst("tcp://".count)
    guard let colon = rest.lastIndex(of: ":") else { throw fail("the port is missing") }
    let digits = rest[rest.index(after: colon)...]
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = UInt16(digits)
    else { throw fail("'\(digits)' is no port from 0 to 65535") }
    var host = rest[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard Self.isIPv6(host) else { throw fail("'\(host)' is no IPv6 address") }
    } else if host.contains(":") {
      throw fail("an IPv6 address needs brackets")
    } else if host != "*" {
      guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy(Self.isNameByte) else {
        throw fail("'\(host)' is no host name")
      }
    }
    self = .tcp(host: String(host), port: port)
  }

  public var description: String {
    switch self {
    case .tcp(let host, let port): "tcp://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    case .inProcess(let name): "inproc://\(name)"
    }
  }

  /// The host of a TCP address; empty between threads.
  public var host: String { if case .tcp(let host, _) = self { host } else { "" } }

  /// The port of a TCP address; 0 between threads.
  public var port: UInt16 { if case .tcp(_, let port) = self { port } else { 0 } }

  /// Where a process of this machine reaches it: an address that stands for all of this machine's is none.
  public var onThisMachine: Endpoint {
    switch self {
    case .tcp("*", let port), .tcp("0.0.0.0", let port): .tcp(host: "127.0.0.1", port: port)
    case .tcp("::", let port): .tcp(host: "::1", port: port)
    default: self
    }
  }

  /// Whether only processes on this machine can reach it. The name `localhost` counts; other names are not looked up.
  public var isLoopback: Bool {
    switch self {
    case .inProcess: true
    case .tcp(let host, _): Messaging.isLoopback(host: host)
    }
  }

  private static func isIPv6(_ text: Substring) -> Bool {
    var address = in6_addr()
    // A zone, as in fe80::1%eth0, is not part of the address itself.
    let bare = text.prefix { $0 != "%" }
    return unsafe inet_pton(AF_INET6, String(bare), &address) == 1 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
    default: false
    }
  }
}

/// Whether `host` is `localhost` or an address of the loopback network.
public func isLoopback(host: String) -> Bool {
  if host.lowercased() == "localhost" { return true }
  var four = in_addr()
  if unsafe inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
  var six = in6_addr()
  guard unsafe inet_pton(AF_INET6, host, &six) == 1 else { return false }
  let bytes = unsafe withUnsafeBytes(of: six) { unsafe Array($0) }
  let mapped: [UInt8] = Array(repeating: 0, count: 10) + [0xff, 0xff, 127]
  return bytes == Array(repeating: 0, count: 15) + [1] || bytes.starts(with: mapped)
}
