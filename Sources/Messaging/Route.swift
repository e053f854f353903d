// Finds the address of this machine to advertise to a peer.
import Glibc

/// The address to listen at for a name such as `localhost`: its first IPv4 address, else its first one. ZeroMQ looks up
/// names only to connect.
///
/// - Throws: `MessagingError` if the name is unknown.
func addressToListen(at host: String) throws -> String {
  var hints = unsafe addrinfo()
  unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
  unsafe hints.ai_flags = AI_PASSIVE
  var list: UnsafeMutablePointer<addrinfo>?
  let found = unsafe getaddrinfo(host, nil, &hints, &list)
  guard found == 0 else {
    let reason = unsafe String(cString: gai_strerror(found))
    throw MessagingError("listen at", host, .malformed("\(reason); check the host's name"))
  }
  defer { unsafe freeaddrinfo(list) }
  var addresses: [(isIPv4: Bool, text: String)] = []
  var next = unsafe list
  while let info = unsafe next {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    if unsafe getnameinfo(
      info.pointee.ai_addr, info.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
    {
      let bytes = text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
      addresses.append((unsafe info.pointee.ai_family == AF_INET, String(decoding: bytes, as: UTF8.self)))
    }
    unsafe next = info.pointee.ai_next
  }
  guard let first = addresses.first(where: \.isIPv4) ?? addresses.first else {
    throw MessagingError("listen at", host, .system(EADDRNOTAVAIL))
  }
  return first.text
}

/// The local address from which packets to `host` leave. Nothing is sent.
///
/// - Throws: `MessagingError` if the name is unknown or no route leads there.
public func routeAddress(to host: String) throws -> String {
  var hints = unsafe addrinfo()
  unsafe hints.ai_family = AF_UNSPEC
  unsafe hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
  var list: UnsafeMutablePointer<addrinfo>?
  // Any port will do: connecting a datagram socket only looks up the route.
  let found = unsafe getaddrinfo(host, "9", &hints, &list)
  guard found == 0 else {
    let reason = unsafe String(cString: gai_strerror(found))
    throw MessagingError("route to", host, .malformed("\(reason); check the host's name"))
  }
  defer { unsafe freeaddrinfo(list) }
  var lastError = MessagingError("route to", host, .system(EHOSTUNREACH))
  var next = unsafe list
  while let info = unsafe next {
    do {
      return try unsafe localAddress(towards: info.pointee, host)
    } catch let error as MessagingError {
      lastError = error
    }
    unsafe next = info.pointee.ai_next
  }
  throw lastError
}

private func localAddress(towards info: addrinfo, _ host: String) throws -> String {
  let descriptor = try call("socket", host) {
    unsafe socket(info.ai_family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  }
  defer { close(descriptor) }
  try call("route to", host) { unsafe connect(descriptor, info.ai_addr, info.ai_addrlen) }
  var storage = sockaddr_storage()
  var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
  var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
  let failed = try unsafe withUnsafeMutablePointer(to: &storage) { pointer in
    try unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
      try call("getsockname", host) { unsafe getsockname(descriptor, address, &length) }
      return unsafe getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
    }
  }
  guard failed == 0 else {
    throw MessagingError("route to", host, .malformed(unsafe String(cString: gai_strerror(failed))))
  }
  return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
