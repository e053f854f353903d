// Paths that are addresses on the web. How they are read is in `Remote`.

/// Whether a path is an address, `http://…` or `https://…`, and no file of this host.
public func isWebAddress(_ path: some StringProtocol) -> Bool {
  // Every clip asks, and nearly none is one.
  guard path.utf8.first == UInt8(ascii: "h") else { return false }
  let head = path.utf8.prefix(8)
  return head.starts(with: "https://".utf8) || head.starts(with: "http://".utf8)
}

/// A path as messages show it: an address without what may be secret, which is `user:password@` and the query.
public func shownPath(_ path: String) -> String {
  guard isWebAddress(path), let scheme = path.range(of: "://") else { return path }
  let rest = path[scheme.upperBound...].prefix { $0 != "?" && $0 != "#" }
  let host = rest.prefix { $0 != "/" }
  let start = host.lastIndex(of: "@").map { rest.index(after: $0) } ?? rest.startIndex
  return String(path[..<scheme.upperBound]) + rest[start...]
}
