// Reads one folder. `readdir` tells each entry's kind, so a million clips need no million calls of `stat`.
import Foundation
import Shared

/// The entries of a folder.
struct FolderEntries: Sendable {
  /// Without `.` and `..`, in no order. Names that are not UTF-8 are missing.
  var names = PackedStrings()
  /// Whether each entry is a folder, or a link to one.
  var areFolders: [Bool] = []
  /// Device and inode, to see links that lead back.
  var identity: [UInt64] = []
  /// Why it cannot be read.
  var problem: String?

  mutating func add(_ name: some Collection<UInt8>, isFolder: Bool) {
    names.append(name)
    areFolders.append(isFolder)
  }
}

/// Where folders are read: the disk, or a test's list of paths.
protocol FolderReader: Sendable {
  func entries(of folder: String) -> FolderEntries
}

struct DiskReader: FolderReader {
  func entries(of folder: String) -> FolderEntries {
    var entries = FolderEntries()
    // Servers do not list folders.
    if isWebAddress(folder) { return entries }
    var status = stat()
    guard unsafe stat(folder, &status) == 0, let stream = unsafe opendir(folder) else {
      entries.problem = unsafe String(cString: strerror(errno))
      return entries
    }
    defer { unsafe closedir(stream) }
    entries.identity = [UInt64(status.st_dev), UInt64(status.st_ino)]
    while true {
      // Only errno distinguishes the end from an error.
      errno = 0
      guard let entry = unsafe readdir(stream) else { break }
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let name, name != ".", name != ".." else { continue }
      var isFolder = unsafe Int(entry.pointee.d_type) == DT_DIR
      if unsafe Int(entry.pointee.d_type) == DT_LNK || Int(entry.pointee.d_type) == DT_UNKNOWN {
        guard unsafe stat("\(folder)/\(name)", &status) == 0 else { continue }
        isFolder = status.st_mode & S_IFMT == S_IFDIR
      }
      entries.add(name.utf8, isFolder: isFolder)
    }
    if errno != 0 { entries.problem = "reading it failed: \(unsafe String(cString: strerror(errno)))" }
    return entries
  }
}

/// A folder that has been read, with its entries by name.
struct ReadFolder: Sendable {
  let entries: FolderEntries
  private var byName = HashIndex()

  init(_ entries: FolderEntries) {
    self.entries = entries
    let names = entries.names
    for number in 0..<names.count {
      byName.add(hash: HashIndex.hash(names[number])) { HashIndex.hash(names[$0]) }
    }
  }

  func contains(_ name: some StringProtocol) -> Bool { number(of: name) != nil }

  func isFolder(_ name: some StringProtocol) -> Bool { number(of: name).map { entries.areFolders[$0] } ?? false }

  private func number(of name: some StringProtocol) -> Int? {
    byName.first(HashIndex.hash(name.utf8)) { entries.names[$0].elementsEqual(name.utf8) }
  }
}
