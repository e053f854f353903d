// From annotation lists to indexes: every file is opened once, what cannot be used is listed with its reason.
import Dataset
import Foundation
import Recipes
import Shared
import Synchronization
import Video

/// Builds the indexes of a recipe's data.
struct IndexBuilder {
  let recipe: Recipe
  /// Decode every frame of every clip, instead of reading packets only.
  var deep = false
  /// Told of each clip of a list; `rejected` are those of that list.
  let progress: @Sendable (_ list: String, _ done: Int, _ total: Int, _ rejected: Int) -> Void
  /// Told what the user should know: how a list was understood, what was passed over.
  var note: (String) -> Void = { _ in }

  /// - Throws: `SharedError(.ioError)` where the recipe's validation list is not there.
  static func requireValidation(_ recipe: Recipe) throws {
    let list = folderPath(data: recipe.data.path, recipe.data.validationList)
    guard DataSetDescription(recipe).hasValidation else {
      throw SharedError(
        .ioError,
        "\(list): cannot be read; check the recipe's data.validation_list, which may be \"\" to do without one")
    }
  }

  /// - Throws: `DatasetError` where a list cannot be read or understood; `SharedError(.badData)` where no training
  ///   clip is usable, or the classes do not fit the model.
  func build() throws -> Indexes {
    let data = recipe.data
    let lists = try DataSetLists(DataSetDescription(recipe))
    lists.notes.forEach(note)
    let classes = lists.classes
    guard classes.names.count <= recipe.model.classes else {
      throw SharedError(
        .badConfiguration,
        "'model.classes' is \(recipe.model.classes), but \(lists.trainName) has \(classes.names.count) classes")
    }
    let (train, badTrain) = try index(lists.train, classes, named: lists.trainName, in: data.trainVideos)
    guard !train.clips.isEmpty else {
      throw SharedError(
        .badData,
        "\(lists.trainName): no training clip can be used; the first reason: "
          + (badTrain.first.map { "\($0.id): \($0.reason)" } ?? "the list is empty"))
    }
    guard let candidates = lists.validation else {
      return Indexes(
        train: train, validation: try ClipIndex(classes: classes.names, clips: []), rejectedTrain: badTrain,
        rejectedValidation: [])
    }
    let (validation, badValidation) = try index(
      candidates, classes, named: lists.validationName, in: data.validationVideos)
    return Indexes(train: train, validation: validation, rejectedTrain: badTrain, rejectedValidation: badValidation)
  }

  private func index(
    _ candidates: ClipCandidates, _ classes: ClassList, named list: String, in videos: String
  ) throws -> (ClipIndex, [RejectedClip]) {
    let data = recipe.data.path
    struct Found {
      var entries: [ClipEntry] = []
      var rejected: [RejectedClip]
    }
    let found = Mutex(Found(rejected: candidates.rejected))
    let deep = deep
    let progress = progress
    let total = candidates.rows
    DispatchQueue.concurrentPerform(iterations: candidates.found.count) { number in
      let clip = candidates.found[number]
      let result = Result { try ClipProbe.probe(clipPath(data: data, videos: videos, path: clip.path), deep: deep) }
      let (done, bad) = found.withLock { found in
        switch result {
        case .success(let probed):
          found.entries.append(
            ClipEntry(
              id: clip.id, path: clip.path, label: clip.label, bytes: probed.bytes, hash: probed.hash,
              frames: probed.frames))
        case .failure(let error):
          found.rejected.append(RejectedClip(id: clip.id, path: clip.path, reason: "\(error)"))
        }
        return (found.entries.count + found.rejected.count, found.rejected.count)
      }
      progress(list, done, total, bad)
    }
    let all = found.withLock { $0 }
    return (
      try ClipIndex(classes: classes.names, clips: all.entries),
      all.rejected.sorted { ($0.id, $0.path) < ($1.id, $1.path) }
    )
  }
}
