// How the path of a clip's file is written in an index, so that it means the same on hosts whose data lies elsewhere.
import Shared

/// The file of an index entry on a host.
///
/// A path is relative to the list's videos folder. It begins with `../` if the file is in another part of the data
/// folder, and with `/` if it is in neither. An address on the web is one wherever it stands.
///
/// - Parameters:
///   - data: the host's data folder.
///   - videos: the list's videos folder, relative to `data`, or absolute.
public func clipPath(data: String, videos: String, path: String) -> String {
  if path.hasPrefix("/") || isWebAddress(path) { return path }
  let base = folderPath(data: data, videos)
  guard path.hasPrefix("../") else { return "\(base)/\(path)" }
  // By name: the folder that `..` leaves may not exist.
  return joined(components(of: "\(base)/\(path)"), isAbsolute: base.hasPrefix("/"))
}

/// A folder or file that the recipe names: relative to the data folder, or absolute.
public func folderPath(data: String, _ name: String) -> String {
  if name.hasPrefix("/") || isWebAddress(name) { return name }
  if name.isEmpty || name == "." { return data }
  return isWebAddress(data) && data.hasSuffix("/") ? data + name : "\(data)/\(name)"
}

/// How the file at `path` is written in an index.
/// - Parameters:
///   - data: the data folder.
///   - root: the list's videos folder.
public func indexedPath(_ path: String, data: String, root: String) -> String {
  // A file on the web is in no folder of this host.
  if isWebAddress(path) != isWebAddress(data) || isWebAddress(path) != isWebAddress(root) { return path }
  let (file, base, top) = (components(of: path), components(of: root), components(of: data))
  if file.starts(with: base) { return file.dropFirst(base.count).joined(separator: "/") }
  guard file.starts(with: top), base.starts(with: top) else { return path }
  let common = zip(file, base).prefix { $0 == $1 }.count
  return (Array(repeating: "..", count: base.count - common) + file.dropFirst(common).map(String.init))
    .joined(separator: "/")
}

/// The components of `path` without `.`, and without a `..` and what it leaves. The first one of an address is
/// `https://host`.
func components(of path: String) -> [Substring] {
  if isWebAddress(path), let scheme = path.range(of: "://") {
    let host = path[scheme.upperBound...].prefix { $0 != "/" }
    return [path[..<host.endIndex]] + components(of: String(path[host.endIndex...]))
  }
  guard path.utf8.contains(UInt8(ascii: ".")) else { return path.split(separator: "/") }
  var components: [Substring] = []
  for component in path.split(separator: "/") where component != "." {
    if component == "..", let last = components.last, last != ".." {
      components.removeLast()
    } else {
      components.append(component)
    }
  }
  return components
}

/// `components` as one path.
func joined(_ components: some Sequence<Substring>, isAbsolute: Bool) -> String {
  (isAbsolute ? "/" : "") + components.joined(separator: "/")
}
