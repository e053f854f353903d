// The files that a recipe's name of a list stands for: one file, a pattern, or a folder.
import Foundation
import Remote
import Shared

extension AnnotationList {
  /// The list at `path`: a file; or all files that a pattern with `*`, `?`, `{000..015}` or `{a,b}` means; or the lists
  /// or tar archives of a folder. Several are read in the order of their names.
  ///
  /// - Parameter remote: reads a list on the web, and shards that the list names by their addresses.
  /// - Throws: `DatasetError` if there is none; `RemoteError` if it is on the web and cannot be read.
  public init(contentsOf path: String, role: Role = .training, remote: RemoteFiles? = nil) throws {
    if isWebAddress(path) {
      try self.init(address: path, role: role, remote: remote)
    } else {
      self.init(name: path, files: try ListFile.all(path).map(ListFile.init(path:)), role: role, remote: remote)
    }
  }

  /// Whether there is a list at `path`.
  static func exists(_ path: String, _ remote: RemoteFiles? = nil) -> Bool {
    isWebAddress(path) ? exists(address: path, remote) : (try? ListFile.all(path)) != nil
  }
}

extension ListFile {
  fileprivate static func all(_ path: String) throws(DatasetError) -> [String] {
    if FileManager.default.fileExists(atPath: path) {
      let entries = DiskReader().entries(of: path)
      return entries.identity.isEmpty ? [path] : try lists(in: path, entries)
    }
    let found = expanded(path).flatMap(matches)
    guard !found.isEmpty else {
      throw DatasetError(
        .ioError,
        "\(path): cannot be read (no such file); check data.train_list and data.validation_list")
    }
    return found
  }

  private static func lists(in folder: String, _ entries: FolderEntries) throws(DatasetError) -> [String] {
    let names = (0..<entries.names.count).filter { !entries.areFolders[$0] }.map(entries.names.string)
      .filter { !$0.hasPrefix(".") }.sorted(by: precedesInUTF8)
    for suffix in ["tar", "txt", "csv"] {
      let found = names.filter { FileNames.suffix(of: $0) == suffix }
      if !found.isEmpty { return found.map { "\(folder)/\($0)" } }
    }
    let compressed = names.filter(FileNames.isCompressedArchive)
    if !compressed.isEmpty { return compressed.map { "\(folder)/\($0)" } }
    let advice =
      entries.areFolders.contains(true)
      ? "if its folders are the classes, name it in data.path, and no list"
      : "check data.train_list and data.validation_list"
    throw DatasetError(.ioError, "\(folder): is a folder without lists (.txt, .csv) or shards (.tar); \(advice)")
  }

  /// The files that the pattern in the last component of `path` matches.
  private static func matches(_ path: String) -> [String] {
    guard path.contains("*") || path.contains("?") else {
      return FileManager.default.fileExists(atPath: path) ? [path] : []
    }
    let pattern = Array(FileNames.name(of: path).utf8)
    let folder = path.contains("/") ? String(Substring(path.utf8.dropLast(pattern.count + 1))) : "."
    let entries = DiskReader().entries(of: folder)
    return (0..<entries.names.count).filter { !entries.areFolders[$0] }.map(entries.names.string)
      .filter { !$0.hasPrefix(".") && matches(Array($0.utf8)[...], pattern[...]) }.sorted(by: precedesInUTF8)
      .map { "\(folder)/\($0)" }
  }

  static func matches(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
    guard let first = pattern.first else { return name.isEmpty }
    if first == UInt8(ascii: "*") {
      return (name.startIndex...name.endIndex).contains { matches(name[$0...], pattern.dropFirst()) }
    }
    guard let byte = name.first, first == UInt8(ascii: "?") || first == byte else { return false }
    return matches(name.dropFirst(), pattern.dropFirst())
  }

  /// The paths that braces stand for: `{000..015}` or `{a,b}`; at most 100,000.
  static func expanded(_ path: String) -> [String] {
    guard let open = path.firstIndex(of: "{"), let close = path[open...].firstIndex(of: "}") else { return [path] }
    let inside = path[path.index(after: open)..<close]
    var choices = inside.split(separator: ",").map(String.init)
    let ends = inside.split(separator: "..").map(String.init)
    if choices.count <= 1 {
      guard ends.count == 2, let from = Int(ends[0]), let to = Int(ends[1]), from >= 0, from <= to, to - from < 100_000
      else { return [path] }
      choices = (from...to).map { number in
        let digits = String(number)
        return String(repeating: "0", count: max(0, ends[0].utf8.count - digits.utf8.count)) + digits
      }
    }
    let rest = expanded(String(path[path.index(after: close)...]))
    guard choices.count * rest.count <= 100_000 else { return [path] }
    return choices.flatMap { choice in rest.map { path[..<open] + choice + $0 } }
  }
}
