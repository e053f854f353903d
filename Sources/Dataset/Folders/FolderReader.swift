// Reads one folder. The folder tells each entry's kind, so a million clips need no million calls of `stat`.
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
    guard unsafe stat(folder, &status) == 0 else {
      entries.problem = unsafe String(cString: strerror(errno))
      return entries
    }
    let identity = [UInt64(status.st_dev), UInt64(status.st_ino)]
    do throws(DirectoryProblem) {
      try forEachEntry(ofDirectory: folder) { entry in
        guard entry.isText else { return }
        var isFolder = entry.kind == DT_DIR
        if entry.kind == DT_LNK || entry.kind == DT_UNKNOWN {
          guard unsafe stat("\(folder)/\(entry.name)", &status) == 0 else { return }
          isFolder = status.st_mode & S_IFMT == S_IFDIR
        }
        entries.add(entry.name.utf8, isFolder: isFolder)
      }
      entries.identity = identity
    } catch {
      let isOpen = error.operation == "readdir"
      if isOpen { entries.identity = identity }
      entries.problem = isOpen ? "reading it failed: \(error.reason)" : error.reason
    }
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
