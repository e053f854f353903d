// What lies where in a run directory.
import Dataset
import Foundation
import Recipes
import Shared

/// A run directory; it and its folders exist.
struct RunDirectory {
  let path: String

  var journal: String { path + "/run.db" }
  var recipe: String { path + "/recipe.yaml" }
  var checkpoints: String { path + "/checkpoints" }
  var logs: String { path + "/logs" }
  /// Where the run's coordinator listens, so that one that is started again is found by the workers.
  var endpoint: String { path + "/endpoint" }
  private var index: String { path + "/index" }

  var holdsRun: Bool { FileManager.default.fileExists(atPath: journal) }

  /// Where the coordinator of an earlier run in `path` listened.
  static func endpoint(in path: String) -> String? {
    FileManager.default.contents(atPath: path + "/endpoint").map { String(decoding: $0, as: UTF8.self) }
  }

  init(_ path: String) throws {
    self.path = path
    for folder in [path, checkpoints, logs, index] {
      do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
        throw SharedError(.ioError, "\(folder): cannot be made; check the permissions and the space left on its disk")
      }
    }
  }

  func write(_ data: Data, to path: String) throws {
    do { try data.write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
      throw SharedError(.ioError, "\(path): cannot be written; check the permissions and the space left on its disk")
    }
  }

  // MARK: Indexes

  /// Keeps the indexes of a recipe's data.
  func save(_ indexes: Indexes, of recipe: Recipe) throws {
    try write(indexes.train.encoded(), to: index + "/train.tsv")
    try write(indexes.validation.encoded(), to: index + "/validation.tsv")
    try write(RejectedClip.encoded(indexes.rejectedTrain), to: rejected("train"))
    try write(RejectedClip.encoded(indexes.rejectedValidation), to: rejected("validation"))
    try write(Data(key(recipe).utf8), to: index + "/key")
  }

  /// The indexes that were kept for just this data, so that nothing is probed twice; nil where there are none.
  func indexes(of recipe: Recipe) throws -> Indexes? {
    guard FileManager.default.contents(atPath: index + "/key") == Data(key(recipe).utf8) else { return nil }
    return try indexes()
  }

  /// Changes with the lists and with where their clips are looked for.
  private func key(_ recipe: Recipe) -> String {
    let data = recipe.data
    let lists = [data.trainList, data.validationList, data.labels].map { name in
      FileManager.default.contents(atPath: "\(data.path)/\(name)").map { Digest128(of: $0).description } ?? "none"
    }
    return ([data.format, data.path, data.trainVideos, data.validationVideos] + lists).joined(separator: "\n")
  }

  func rejected(_ list: String) -> String { "\(index)/rejected-\(list).tsv" }

  /// The indexes that were kept, or nil where there are none.
  func indexes() throws -> Indexes? {
    let files = FileManager.default
    guard let train = files.contents(atPath: index + "/train.tsv"),
      let validation = files.contents(atPath: index + "/validation.tsv"),
      let badTrain = files.contents(atPath: rejected("train")),
      let badValidation = files.contents(atPath: rejected("validation"))
    else { return nil }
    return Indexes(
      train: try ClipIndex(decoding: train, name: index + "/train.tsv"),
      validation: try ClipIndex(decoding: validation, name: index + "/validation.tsv"),
      rejectedTrain: try RejectedClip.decoded(badTrain, name: rejected("train")),
      rejectedValidation: try RejectedClip.decoded(badValidation, name: rejected("validation")))
  }
}

/// The usable clips of a data set, and those that were left out.
struct Indexes {
  var train: ClipIndex
  var validation: ClipIndex
  var rejectedTrain: [RejectedClip]
  var rejectedValidation: [RejectedClip]
}
