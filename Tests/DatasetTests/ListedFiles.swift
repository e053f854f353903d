// What tests of lists share: folders that are lists of paths, temporary ones on disk, and the rows of a list.
import Foundation

@testable import Dataset

/// Folders that exist in a test alone.
struct ListedFiles: FolderReader {
  private var folders: [String: [String: Bool]] = [:]
  /// Folders that exist and cannot be read.
  var forbidden: Set<String> = []

  /// - Parameter paths: of files, from the top; a folder without files ends in `/`.
  init(_ paths: [String]) {
    for path in paths {
      let parts = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
      var folder = path.hasPrefix("/") ? "" : nil as String?
      for (number, part) in parts.enumerated() {
        if let parent = folder { folders[parent, default: [:]][part] = number < parts.count - 1 || path.hasSuffix("/") }
        let next = folder.map { "\($0)/\(part)" } ?? part
        if number < parts.count - 1 || path.hasSuffix("/") { folders[next] = folders[next] ?? [:] }
        folder = next
      }
    }
  }

  func entries(of folder: String) -> FolderEntries {
    var entries = FolderEntries()
    let folder = folder == "/" ? "" : folder
    if forbidden.contains(folder) {
      entries.problem = "Permission denied"
    } else if let known = folders[folder] {
      for (name, isFolder) in known { entries.add(name.utf8, isFolder: isFolder) }
    } else {
      entries.problem = "No such file or directory"
    }
    return entries
  }
}

extension VideoFolder {
  /// The folder `root`, which is also the data folder, with `paths` below it.
  convenience init(root: String, paths: [String]) {
    do {
      try self.init(
        root: root, data: root, lists: nil, isOptional: false,
        reader: ListedFiles(["\(root)/"] + paths.map { "\(root)/\($0)" }))
    } catch { fatalError("\(error)") }
  }

  /// The videos folder `/data/train` of the data folder `/data`, with the list in `lists`.
  static func train(_ paths: [String], lists: String? = nil) throws -> VideoFolder {
    try VideoFolder(
      root: "/data/train", data: "/data", lists: lists, isOptional: true, reader: ListedFiles(["/data/"] + paths))
  }
}

extension Annotations {
  init(_ text: String, _ format: String = "auto", name: String = "list.csv", role: AnnotationList.Role = .training)
    throws
  {
    try self.init(
      AnnotationList(name: name, data: Data(text.utf8), role: role), source: AnnotationFormats.known.named(format))
  }

  /// The rows that can be read.
  var clips: [AnnotatedClip] {
    get throws {
      var clips: [AnnotatedClip] = []
      try forEachRow { if case .clip(let clip) = $0 { clips.append(clip) } }
      return clips
    }
  }

  /// What is said of the rows that cannot be read.
  var problems: [String] {
    get throws {
      var problems: [String] = []
      try forEachRow { if case .unreadable(let row) = $0 { problems.append(row.description) } }
      return problems
    }
  }

  /// The list's files among `paths`.
  func files(among paths: [String]) throws -> [ClipFile?] {
    let folder = VideoFolder(root: "root", paths: paths)
    return try clips.map { source.file(of: $0, in: folder) }
  }
}

/// Files in a temporary folder, by path.
func withFiles<Result>(_ files: [String: String], _ body: (String) throws -> Result) throws -> Result {
  let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  defer { try? FileManager.default.removeItem(at: root) }
  try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
  for (path, contents) in files {
    let file = root.appendingPathComponent(path)
    let isFolder = path.hasSuffix("/")
    let folder = isFolder ? file : file.deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    if !isFolder { try Data(contents.utf8).write(to: file) }
  }
  return try body(root.path)
}

/// The message of a `DatasetError`, or an empty text.
func message(_ body: () throws -> Void) -> String {
  do { try body() } catch { return "\((error as? DatasetError)?.description ?? "another error: \(error)")" }
  return ""
}
