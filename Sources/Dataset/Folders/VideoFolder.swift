// Where the files of a list are looked for. Which file belongs to a row is for the annotation source to say.
import Shared

/// The folders in which a list's files are looked for: the list's videos folder (`data.train_videos` or
/// `data.validation_videos` below `data.path`), the list's own folder, and the data folder.
///
/// A folder is read once, when the first row needs it; no file is asked for by itself.
public final class VideoFolder {
  /// The list's videos folder. All paths are relative to it (see `clipPath`).
  public let root: String
  /// The data folder.
  let data: String
  /// Where paths are looked up, in this order.
  private let places: [String]
  /// Where ids are looked up: all that is below these folders.
  private let scanned: [String]
  private let reader: any FolderReader
  private var read: [String: ReadFolder] = [:]
  private var tree: FileTree?
  private var replaced: FileTree?
  /// The list's classes, as `FileNames.plain` writes them.
  var classes: Set<String> = []
  private var plainNames: [String: String] = [:]

  /// Names of the folders that data sets keep their splits in.
  static let splits = ["train", "training", "val", "validation", "valid", "test", "testing"]

  /// - Parameters:
  ///   - lists: the list's own folder.
  ///   - isOptional: whether `root` is the built-in one, without which the data folder is searched.
  /// - Throws: `DatasetError` naming a folder that cannot be read.
  public convenience init(root: String, data: String, lists: String? = nil, isOptional: Bool = false) throws {
    try self.init(root: root, data: data, lists: lists, isOptional: isOptional, reader: DiskReader())
  }

  /// The folder `root` alone.
  ///
  /// - Throws: `DatasetError` naming a folder that cannot be read.
  public convenience init(scanning root: String) throws { try self.init(root: root, data: root) }

  init(root: String, data: String, lists: String?, isOptional: Bool, reader: any FolderReader) throws {
    self.root = root
    self.data = data
    self.reader = reader
    let top = ReadFolder(reader.entries(of: root))
    let base = data == root ? top : ReadFolder(reader.entries(of: data))
    if let problem = top.entries.problem, !isOptional || base.entries.problem != nil {
      throw DatasetError(.ioError, "\(root): cannot be read (\(problem)); check the recipe's data folder")
    }
    let exists = top.entries.problem == nil
    read[root] = top
    read[data] = base
    func withSplits(_ folder: String, _ read: ReadFolder) -> [String] {
      [folder] + Self.splits.filter(read.isFolder).map { "\(folder)/\($0)" }
    }
    var places = exists ? withSplits(root, top) : []
    if let lists { places.append(lists) }
    for place in withSplits(data, base) where !places.contains(place) { places.append(place) }
    self.places = places
    scanned = exists ? [root] : [data]
  }

  /// Where files are looked for, for messages.
  var searched: String {
    var folders = scanned
    for place in places where !folders.contains(place) { folders.append(place) }
    return folders.map(shownPath).joined(separator: ", ")
  }

  /// The folders below those that were searched that cannot be read, each with the reason. No row that was found needs
  /// them.
  public var unreadable: [String] {
    var found = tree?.unreadable ?? []
    for (folder, read) in read.sorted(by: { precedesInUTF8($0.key, $1.key) }) where folder != root {
      if let problem = read.entries.problem, !problem.hasPrefix("No such") { found.append("\(folder) (\(problem))") }
    }
    return found
  }

  /// `FileNames.plain` of a class's or folder's name, made once: a data set has few of them, and many rows.
  func plain(_ name: String) -> String {
    if let known = plainNames[name] { return known }
    let new = FileNames.plain(name)
    plainNames[name] = new
    return new
  }

  // MARK: Paths

  /// Whether there is a file, or a folder, at `path` in the videos folder.
  public func contains(_ path: String) -> Bool { find(components(of: path), below: root) != nil }

  /// The file, or the folder of images, that a row names by `path`: an absolute path, or one relative to the videos
  /// folder, the list's folder, the data folder, or one of their splits. Where nothing has that name, and the name has
  /// no extension, any extension counts.
  ///
  /// - Returns: relative to the videos folder; nil if there is none.
  public func file(named path: String) -> String? {
    // The server is asked when the file is opened.
    if isWebAddress(path) { return indexed(path) }
    let wanted = components(of: path)
    guard !wanted.isEmpty else { return nil }
    if path.hasPrefix("/"), let found = find(wanted, below: "") { return indexed(found) }
    for place in places {
      guard let found = find(wanted, below: place) else { continue }
      guard place == root, wanted[0] != ".." else { return indexed(found) }
      return String(Substring(found.utf8.dropFirst(root.utf8.count + 1)))
    }
    return nil
  }

  private func indexed(_ path: String) -> String { indexedPath(path, data: data, root: root) }

  private func find(_ wanted: [Substring], below place: String) -> String? {
    guard let name = wanted.last else { return nil }
    // A path may leave the folder that it is relative to.
    let folder =
      wanted[0] == ".."
      ? joined(components(of: "\(place)/\(wanted.dropLast().joined(separator: "/"))"), isAbsolute: place.hasPrefix("/"))
      : ([Substring(place)] + wanted.dropLast()).joined(separator: "/")
    if wanted.count > 1, read[folder] == nil, !canExist(folder) { return nil }
    if contents(of: folder).contains(name) { return "\(folder)/\(name)" }
    guard !FileNames.hasExtension(name) else { return nil }
    return withAnyExtension(name, in: folder)
  }

  /// Whether `folder` may exist: its parent, if it was read, has it. Lists name many folders that are elsewhere.
  private func canExist(_ folder: String) -> Bool {
    guard let slash = folder.utf8.lastIndex(of: UInt8(ascii: "/")), slash > folder.startIndex else { return true }
    guard let parent = read[String(folder[..<slash])], parent.entries.problem == nil else { return true }
    return parent.isFolder(folder[folder.utf8.index(after: slash)...])
  }

  private func contents(of folder: String) -> ReadFolder {
    if let known = read[folder] { return known }
    let new = ReadFolder(reader.entries(of: folder.isEmpty ? "/" : folder))
    read[folder] = new
    return new
  }

  private var stems: [String: FileTree] = [:]

  private func withAnyExtension(_ stem: Substring, in folder: String) -> String? {
    if stems[folder] == nil {
      var tree = FileTree()
      let entries = contents(of: folder).entries
      for number in 0..<entries.names.count where !entries.areFolders[number] {
        let name = entries.names.string(number)
        if FileNames.canBeVideo(name) { tree.add(name) }
      }
      stems[folder] = tree
    }
    let found = stems[folder]?.paths(stem: stem) ?? []
    return found.min { Self.preference($0) < Self.preference($1) }.map { "\(folder)/\($0)" }
  }

  /// Smaller for the extension that wins where several files have one stem.
  static func preference(_ path: String) -> Int {
    FileNames.preferred.firstIndex(of: FileNames.suffix(of: path)) ?? FileNames.preferred.count
  }

  // MARK: Ids

  /// The videos and folders of images whose name without its extension is `stem`, anywhere below the videos folder;
  /// sorted by UTF-8 bytes.
  public func paths(stem: some StringProtocol) -> [String] {
    if tree == nil {
      var new = FileTree()
      for folder in scanned { scan(folder, into: &new) }
      tree = new
    }
    return tree?.paths(stem: stem) ?? []
  }

  /// The same, in the folders of replacements for damaged files that stand beside the videos folder.
  func replacements(stem: some StringProtocol) -> [String] {
    if replaced == nil {
      var new = FileTree()
      let names = contents(of: data).entries
      for number in 0..<names.names.count where names.areFolders[number] {
        let name = names.names.string(number)
        guard name.lowercased().hasPrefix("replacement"), scanned != [data] else { continue }
        scan("\(data)/\(name)", into: &new)
      }
      replaced = new
    }
    return replaced?.paths(stem: stem) ?? []
  }

  private func scan(_ folder: String, into tree: inout FileTree) {
    let prefix = indexed(folder)
    tree.scan(folder, prefix: prefix.isEmpty ? "" : prefix + "/", reader)
  }
}
