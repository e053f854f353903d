// All videos and folders of images below a folder, found by their stems.

/// The files below some folders, by stem.
struct FileTree: Sendable {
  /// Paths as the caller wants them; folders of images end in `/`.
  private var paths = PackedStrings()
  private var byStem = HashIndex()
  /// The folders that could not be read, each with the reason.
  private(set) var unreadable: [String] = []

  /// Adds what lies below `folder`: files that may be videos, and folders that hold images and nothing else. Names that
  /// begin with `.` are skipped. Links are followed, except into a folder that contains them.
  ///
  /// - Parameter prefix: what the paths begin with, instead of `folder` and a `/`.
  mutating func scan(_ folder: String, prefix: String, _ reader: any FolderReader) {
    scan(folder, prefix: prefix, reader, inside: [])
  }

  private mutating func scan(
    _ folder: String, prefix: String, _ reader: any FolderReader, inside ancestors: [[UInt64]]
  ) {
    let entries = reader.entries(of: folder)
    if let problem = entries.problem { unreadable.append("\(folder) (\(problem))") }
    if !entries.identity.isEmpty, ancestors.contains(entries.identity) { return }
    var images = 0
    var others = 0
    for number in 0..<entries.names.count where entries.names[number].first != UInt8(ascii: ".") {
      let name = entries.names.string(number)
      if entries.areFolders[number] {
        others += 1
        scan("\(folder)/\(name)", prefix: "\(prefix)\(name)/", reader, inside: ancestors + [entries.identity])
      } else if FileNames.canBeVideo(name) {
        others += 1
        add("\(prefix)\(name)")
      } else if FileNames.isImage(name) {
        images += 1
      }
    }
    if images > 0, others == 0, !ancestors.isEmpty { add(prefix) }
  }

  mutating func add(_ path: String) {
    let number = paths.count
    paths.append(path.utf8)
    let paths = paths
    byStem.add(hash: Self.hash(paths[number])) { Self.hash(paths[$0]) }
  }

  /// The paths with this stem, sorted by UTF-8 bytes. A folder's stem is its name.
  func paths(stem: some StringProtocol) -> [String] {
    var found: [String] = []
    _ = byStem.first(HashIndex.hash(stem.utf8)) { number in
      let path = paths[number]
      if Self.stem(path).elementsEqual(stem.utf8) {
        found.append(String(decoding: path.last == slash ? path.dropLast() : path, as: UTF8.self))
      }
      return false
    }
    return found.count < 2 ? found : found.sorted(by: precedesInUTF8)
  }

  /// Passes all paths to `body`, in no order, and whether each is a folder of images.
  func forEach(_ body: (String, Bool) -> Void) {
    for number in 0..<paths.count {
      let path = paths[number]
      let isFolder = path.last == slash
      body(String(decoding: isFolder ? path.dropLast() : path, as: UTF8.self), isFolder)
    }
  }

  /// Passes all paths to `body`, sorted by UTF-8 bytes.
  func forEachSorted(_ body: (String) throws -> Void) rethrows {
    // Numbers, since ten million texts of their own would be a gigabyte.
    let sorted = (0..<UInt32(paths.count)).sorted { paths[Int($0)].lexicographicallyPrecedes(paths[Int($1)]) }
    for number in sorted {
      let path = paths[Int(number)]
      try body(String(decoding: path.last == slash ? path.dropLast() : path, as: UTF8.self))
    }
  }

  private static func hash(_ path: ArraySlice<UInt8>) -> UInt64 { HashIndex.hash(stem(path)) }

  private static func stem(_ path: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    if path.last == slash {
      let path = path.dropLast()
      return path.lastIndex(of: slash).map { path[($0 + 1)...] } ?? path
    }
    let name = path.lastIndex(of: slash).map { path[($0 + 1)...] } ?? path
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex else { return name }
    return name[..<dot]
  }
}

private let slash = UInt8(ascii: "/")
