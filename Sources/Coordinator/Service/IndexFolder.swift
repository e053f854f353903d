// The folder of a run directory that holds the indexes of the recipe's lists, and what is known of their files.
import Dataset
import Foundation
import Glibc
import Recipes
import Shared

/// The usable clips of a data set, and those that were left out.
struct Indexes {
  var train: ClipIndex
  var validation: ClipIndex
  var rejectedTrain: RejectedList
  var rejectedValidation: RejectedList
}

extension Indexes {
  /// - Throws: `SharedError(.badConfiguration)` naming a clip of several classes, if the recipe's loss is for clips of
  ///   one.
  func require(_ recipe: Recipe) throws {
    for (list, index) in [("training", train), ("validation", validation)] {
      guard let several = index.firstWithSeveralClasses else { continue }
      try recipe.requireBinaryLoss(for: index.clips[several].id, in: "the \(list) index")
    }
  }
}

extension Recipe {
  /// - Throws: `SharedError(.badConfiguration)` if a clip may have one class only.
  func requireBinaryLoss(for clip: String, in place: String) throws {
    guard loss.kind == .softmax else { return }
    throw SharedError(
      .badConfiguration,
      "\(place): the clip '\(clip)' has several labels, but 'loss.kind: softmax' is for clips of one; set "
        + "'loss.kind: binary', or give each row one label")
  }
}

/// The folder with the indexes of a recipe's data; it exists.
struct IndexFolder {
  let path: String

  init(_ path: String) throws {
    self.path = path
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw SharedError(.ioError, "\(path): cannot be made; check the permissions and the space left on its disk")
    }
  }

  // `list` is `train` or `validation`.
  func clips(_ list: String) -> String { "\(path)/\(list).clips" }
  func export(_ list: String) -> String { "\(path)/\(list).tsv" }
  func rejected(_ list: String) -> String { "\(path)/rejected-\(list).tsv" }
  func files(_ list: String) -> String { "\(path)/\(list).files" }
  private var keyFile: String { "\(path)/key" }

  // MARK: What is kept

  /// The indexes that are here; nil where there are none.
  /// - Throws: `DatasetError` if one is damaged.
  func indexes() throws -> Indexes? {
    for list in ["train", "validation"] where !FileManager.default.fileExists(atPath: clips(list)) {
      guard FileManager.default.fileExists(atPath: export(list)) else { return nil }
      throw SharedError(
        .badData,
        "\(export(list)): was made by an older version, whose index this one cannot use; go on with that version, or use "
          + "another --run-dir")
    }
    return Indexes(
      train: try ClipIndex(mapping: clips("train")), validation: try ClipIndex(mapping: clips("validation")),
      rejectedTrain: try RejectedList(rejected("train")), rejectedValidation: try RejectedList(rejected("validation")))
  }

  /// The indexes that were made of just this data; nil where there are none, or a file that was rejected has changed
  /// since.
  func indexes(of recipe: Recipe) throws -> Indexes? {
    guard isOf(recipe), let made = FileStamp(of: keyFile), let indexes = try? indexes() else { return nil }
    let data = recipe.data
    for (list, videos) in [
      (indexes.rejectedTrain, data.trainVideos), (indexes.rejectedValidation, data.validationVideos),
    ] {
      for clip in try list.prefix(Self.rejectedToCheck) where !clip.path.isEmpty {
        if let file = FileStamp(of: clipPath(data: data.path, videos: videos, path: clip.path)),
          file.changed > made.modified
        {
          return nil
        }
      }
    }
    return indexes
  }

  /// Whether what is here was made of the recipe's lists as they are now.
  func isOf(_ recipe: Recipe) -> Bool {
    guard let key = key(recipe) else { return false }
    return FileManager.default.contents(atPath: keyFile) == Data(key.utf8)
  }

  private static let rejectedToCheck = 10_000

  /// Changes with the lists, with where their clips are looked for, and with the rules by which files are probed. Nil
  /// where what is in folders decides: without lists, and for lists that are patterns, folders or archives.
  private func key(_ recipe: Recipe) -> String? {
    let data = recipe.data
    var parts = [data.format, data.path, data.trainVideos, data.validationVideos, ProbedVideo.rules(recipe)]
    for name in [data.trainList, data.validationList, data.labels] {
      let path = folderPath(data: data.path, name)
      var isFolder: ObjCBool = false
      let isThere = unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      guard isThere || name != data.trainList, !isFolder.boolValue || name.isEmpty, !name.hasSuffix(".tar"),
        !isWebAddress(path),
        !name.contains(where: { "*{[".contains($0) })
      else { return nil }
      parts.append(name.isEmpty || !isThere ? "none" : contentDigest(path)?.description ?? "none")
    }
    return parts.joined(separator: "\n")
  }

  private func contentDigest(_ path: String) -> Digest128? {
    if case .digest(let digest) = PassingErrors.contents(path, nil) { digest } else { nil }
  }

  // MARK: Making

  /// What is here counts for nothing until `finish`.
  func begin() { unsafe unlink(keyFile) }

  func finish(_ recipe: Recipe) throws {
    try writeFile(Data((key(recipe) ?? "folders").utf8), to: keyFile)
  }
}
