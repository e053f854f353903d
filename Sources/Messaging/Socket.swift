// A ZeroMQ socket: options, binding, connecting. Sending and receiving are in Socket+Messages.swift.
import CZMQ
import Glibc
import Wire

/// A ZeroMQ socket. It belongs to the thread that uses it first, and is closed when it is released.
///
/// Delivery is not guaranteed: if a connection breaks, messages in flight are lost silently. So number messages,
/// acknowledge them, and use timeouts.
@safe
public final class Socket {
  public enum Kind: Sendable {
    /// Talks to many peers; the first part of each message is the peer's routing id.
    case router
    /// Talks to one peer, or to several in turn.
    case dealer
    /// Talks to exactly one peer.
    case pair
  }

  /// Options that are set before the socket binds or connects.
  public struct Options: Sendable {
    /// How long unsent messages keep the connection open after the socket is closed; nil for ever.
    public var linger: Duration? = .zero
    /// How many messages are queued for one peer before `send` blocks.
    public var sendHighWater = 1000
    /// How many messages of one peer are queued before that peer must wait.
    public var receiveHighWater = 1000
    /// The longest part that is accepted, in bytes. A peer that sends a longer one is disconnected.
    public var maximumPartBytes = 64 << 20
    /// The longest message that is accepted, in bytes over all its parts.
    public var maximumMessageBytes = 64 << 20
    /// The most parts that a message may have.
    public var maximumParts = 64
    /// Whether to queue messages only for complete connections, not for those still being made (dealer, pair).
    public var immediate = false
    /// Whether sending to an unknown peer throws, and to one with a full queue blocks. Otherwise both drop the message
    /// silently (router).
    public var mandatory = true
    /// The routing id that a router at the other side sees: 1…255 bytes, the first not zero. If nil, the router makes
    /// one.
    public var routingID: [UInt8]?
    public var protection = Protection.none
    /// How long a connection may take to prove itself.
    public var handshake = Duration.seconds(2)

    public init() {}
  }

  /// How a socket's connections are encrypted.
  public enum Protection: Sendable {
    case none
    /// Others connect to it, and the context's authenticator says who may.
    case server(KeyPair)
    /// It connects to the holder of `key`, and to nobody else.
    case client(KeyPair, of: PublicKey)
  }

  public let kind: Kind
  public let options: Options
  /// Where the socket last bound or connected to, for error messages.
  public internal(set) var place = ""
  let handle: UnsafeMutableRawPointer
  private let context: MessagingContext

  /// - Throws: `MessagingError` if an option is impossible or there are too many sockets.
  public init(_ context: MessagingContext, _ kind: Kind, _ options: Options = Options()) throws {
    guard let created = unsafe zmq_socket(context.handle, kind.code) else {
      throw MessagingError("zmq_socket", "", .system(errno))
    }
    unsafe handle = created
    self.context = context
    self.kind = kind
    self.options = options
    try apply(options)
  }

  deinit { _ = unsafe zmq_close(handle) }

  private func apply(_ options: Options) throws {
    try set(ZMQ_LINGER, options.linger.map(\.wholeMilliseconds) ?? -1)
    try set(ZMQ_SNDHWM, Int32(clamping: options.sendHighWater))
    try set(ZMQ_RCVHWM, Int32(clamping: options.receiveHighWater))
    try set(ZMQ_MAXMSGSIZE, Int64(options.maximumPartBytes))
    try set(ZMQ_IMMEDIATE, Int32(options.immediate ? 1 : 0))
    try set(ZMQ_TCP_KEEPALIVE, Int32(1))
    if kind == .router {
      try set(ZMQ_ROUTER_MANDATORY, Int32(options.mandatory ? 1 : 0))
    }
    try set(ZMQ_HANDSHAKE_IVL, options.handshake.wholeMilliseconds)
    try protect(options.protection)
    if let id = options.routingID {
      try call("set routing id") { unsafe zmq_setsockopt(handle, ZMQ_ROUTING_ID, id, id.count) }
    }
  }

  private func protect(_ protection: Protection) throws {
    switch protection {
    case .none: break
    case .server(let own):
      try set(ZMQ_CURVE_SERVER, Int32(1))
      try set(ZMQ_ZAP_DOMAIN, Array(Authenticator.domain.utf8))
      try set(secret: own)
    case .client(let own, let key):
      try set(ZMQ_CURVE_SERVERKEY, key.bytes)
      try set(ZMQ_CURVE_PUBLICKEY, own.publicKey.bytes)
      try set(secret: own)
    }
  }

  private func set(secret own: KeyPair) throws {
    _ = try unsafe own.secretKey.withBytes { bytes in
      try call("set the secret key") { unsafe zmq_setsockopt(handle, ZMQ_CURVE_SECRETKEY, bytes, SecretKey.count) }
    }
  }

  private func set(_ option: Int32, _ bytes: [UInt8]) throws {
    try call("zmq_setsockopt \(option)") { unsafe zmq_setsockopt(handle, option, bytes, bytes.count) }
  }

  private func set<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) throws {
    var value = value
    try call("zmq_setsockopt \(option)") {
      unsafe zmq_setsockopt(handle, option, &value, MemoryLayout<Value>.size)
    }
  }

  /// Listens at `endpoint`. Port 0 takes any free port.
  ///
  /// - Returns: the endpoint with the port that was taken.
  /// - Throws: `MessagingError` if the address is in use or not this machine's.
  @discardableResult
  public func bind(_ endpoint: Endpoint) throws -> Endpoint {
    var endpoint = endpoint
    if case .tcp(let host, let port) = endpoint, host != "*" {
      endpoint = .tcp(host: try addressToListen(at: host), port: port)
    }
    try prepare(for: endpoint)
    try call("listen at", place) { unsafe zmq_bind(handle, place) }
    var text = [CChar](repeating: 0, count: 512)
    var length = text.count
    try call("zmq_getsockopt", place) { unsafe zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &length) }
    let actual = try Endpoint(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    place = actual.description
    return actual
  }

  /// Connects in the background, retrying until the peer is there.
  ///
  /// - Throws: `MessagingError` if ZeroMQ cannot parse the endpoint.
  public func connect(_ endpoint: Endpoint) throws {
    try prepare(for: endpoint)
    try call("connect to", place) { unsafe zmq_connect(handle, place) }
  }

  private func prepare(for endpoint: Endpoint) throws {
    place = endpoint.description
    // Only for literal addresses: a name such as localhost could become ::1, while the peer has only 127.0.0.1.
    if case .tcp(let host, _) = endpoint { try set(ZMQ_IPV6, Int32(host.contains(":") ? 1 : 0)) }
  }
}

extension Socket.Kind {
  fileprivate var code: Int32 {
    switch self {
    case .router: ZMQ_ROUTER
    case .dealer: ZMQ_DEALER
    case .pair: ZMQ_PAIR
    }
  }
}

extension Duration {
  /// Milliseconds, rounded up so that a short wait does not become a busy one, and limited to what fits.
  var wholeMilliseconds: Int32 {
    let (seconds, attoseconds) = components
    let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return Int32(clamping: max(0, min(seconds, Int64(Int32.max)) * 1000 + part))
  }
}
