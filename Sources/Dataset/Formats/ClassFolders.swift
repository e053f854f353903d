// A data set without any list: a folder for each class.
import Foundation
import Shared

/// The folder of a data set without a list.
struct ClassFolder: Sendable {
  /// The folder whose subfolders are the classes.
  let path: String
  /// How its files are written in the index.
  let prefix: String
  /// Which of the files a list has; nil for all.
  var split: FolderSplit?
  var reader: any FolderReader = DiskReader()
}

/// A part of the clips that is kept for validation, drawn by path: whatever else is in the folder, a clip stays on its
/// side.
struct FolderSplit: Equatable, Sendable {
  let seed: UInt64
  /// From 0 to below 1.
  let fraction: Double

  /// - Parameter path: relative to the folder of the classes.
  func isValidation(_ path: String) -> Bool {
    let drawn = Digest128(of: Data("\(seed) \(path)".utf8)).low
    return Double(drawn >> 11) * 0x1p-53 < fraction
  }
}

/// Without a list: the clips are the videos and the folders of images below a folder, and the first folder of a clip's
/// path is its class. Where validation has no folder of its own, `data.validation_fraction` of the clips are drawn.
public struct ClassFolders: AnnotationSource {
  public let name = "folders"
  public let appearance = "no list, but a folder for each class"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool { list.folder != nil }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    guard let folder = list.folder else {
      throw DatasetError(
        .badConfiguration, "\(list.name): 'data.format: folders' takes its classes from folders, and reads no list")
    }
    var tree = FileTree()
    tree.scan(folder.path, prefix: "", folder.reader)
    let place = RowPlace(file: folder.path, line: 0)
    for problem in tree.unreadable {
      try take(.unreadable(UnreadableRow(place, text: nil, RowProblem("cannot be read: \(problem)"))))
    }
    // A folder without a single video, such as one of logs, is no class.
    var classes: Set<String> = []
    tree.forEach { path, isFolder in
      if isFolder || FileNames.isVideo(path), let name = Self.className(path) { classes.insert(name) }
    }
    try tree.forEachSorted { path in
      guard let name = Self.className(path) else {
        guard FileNames.isVideo(path) else { return }
        let problem = RowProblem("expected it in a folder named after its class")
        return try take(.unreadable(UnreadableRow(place, text: path, problem)))
      }
      guard classes.contains(name) else { return }
      if let split = folder.split, split.isValidation(path) != (list.role == .validation) { return }
      try take(.clip(AnnotatedClip(id: path, video: folder.prefix + path, label: name, place: place)))
    }
  }

  private static func className(_ path: String) -> String? {
    path.utf8.firstIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) }
  }

  /// The path is the one that was found.
  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? { ClipFile(path: clip.video) }
}

extension ClassFolders {
  /// The lists of a data set without lists. The classes are the folders in `data.path/data.train_videos`, if there is
  /// such a folder, or else those in `data.path`. A folder that holds one other folder and no video is gone through.
  ///
  /// - Throws: `DatasetError` if there are no folders.
  static func lists(_ data: DataSetDescription) throws -> (train: AnnotationList, validation: AnnotationList?) {
    var base = data.path
    var entries = Listing(base)
    for _ in 0..<4 {
      guard entries.folders.count == 1, !entries.hasVideos, let only = entries.folders.first else { break }
      let inner = Listing("\(base)/\(only)")
      guard !inner.folders.isEmpty, !inner.hasVideos else { break }
      (base, entries) = ("\(base)/\(only)", inner)
    }
    func first(_ names: [String]) -> String? {
      names.lazy.filter(entries.folders.contains).first.map { "\(base)/\($0)" }
    }
    let named = folderPath(data: data.path, data.trainVideos)
    let train = Listing(named).exists ? named : first(["train", "training"]) ?? base
    let classes = Listing(train)
    guard classes.exists, !classes.folders.isEmpty else {
      let list =
        data.trainList.isEmpty ? "" : "\(folderPath(data: data.path, data.trainList)): there is no such list, and "
      throw DatasetError(
        .ioError,
        "\(list)\(train): \(classes.problem.map { "cannot be read (\($0))" } ?? "has no folders named after classes"); "
          + "check the recipe's data.path and data.train_list")
    }
    let namedValidation = folderPath(data: data.path, data.validationVideos)
    let validation =
      train == base
      ? nil
      : Listing(namedValidation).exists && namedValidation != train
        ? namedValidation : first(["val", "validation", "valid"])
    func list(_ folder: String, _ root: String, _ role: AnnotationList.Role, split: FolderSplit?) -> AnnotationList {
      let prefix = indexedPath(folder, data: data.path, root: folderPath(data: data.path, root))
      return AnnotationList(
        name: folder, files: [], role: role,
        folder: ClassFolder(path: folder, prefix: prefix.isEmpty ? "" : prefix + "/", split: split))
    }
    if let validation {
      return (
        list(train, data.trainVideos, .training, split: nil),
        list(validation, data.validationVideos, .validation, split: nil)
      )
    }
    guard data.validationFraction > 0 else { return (list(train, data.trainVideos, .training, split: nil), nil) }
    let split = FolderSplit(seed: data.seed, fraction: data.validationFraction)
    return (
      list(train, data.trainVideos, .training, split: split),
      list(train, data.validationVideos, .validation, split: split)
    )
  }

  private struct Listing {
    var folders: Set<String> = []
    var hasVideos = false
    let problem: String?
    var exists: Bool { problem == nil }

    init(_ path: String) {
      let entries = DiskReader().entries(of: path)
      problem = entries.problem
      for number in 0..<entries.names.count where entries.names[number].first != UInt8(ascii: ".") {
        let name = entries.names.string(number)
        if entries.areFolders[number] { folders.insert(name) } else if FileNames.isVideo(name) { hasVideos = true }
      }
    }
  }
}
