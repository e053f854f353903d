// From annotation lists to indexes: which rows of which lists there are. `FileIndexing` probes their files.
import Dataset
import Foundation
import Glibc
import Recipes
import Remote
import Shared
import Video

/// Builds the indexes of a recipe's data.
struct IndexBuilder {
  let recipe: Recipe
  /// What is there of earlier indexing saves opening files again; it is replaced.
  let folder: IndexFolder
  /// How files are probed; `progress` is ours to set.
  var settings: FileIndexing.Settings
  /// Reads what is on the web.
  private let remote: RemoteFiles
  /// Told how far each list is.
  let progress: @Sendable (_ list: String, FileIndexing.Progress) -> Void

  /// - Parameter decoders: probe the files.
  init(
    recipe: Recipe, folder: IndexFolder, decoders: DecodingPool = .inThisProcess(),
    progress: @escaping @Sendable (_ list: String, FileIndexing.Progress) -> Void
  ) {
    self.recipe = recipe
    self.folder = folder
    self.progress = progress
    remote = RemoteFiles(recipe)
    let rules = recipe.videoRules
    settings = FileIndexing.Settings(probe: {
      try ProbedVideo($0, range: $1, deep: $2, rules: rules, decoders: decoders)
    })
  }

  /// - Throws: `SharedError(.ioError)` where the recipe's validation list is not there; `DatasetError` where all of its
  ///   data is not.
  static func requireValidation(_ recipe: Recipe) throws {
    let list = folderPath(data: recipe.data.path, recipe.data.validationList)
    let description = DataSetDescription(recipe)
    guard description.hasValidation else {
      try description.requireFolder()
      throw SharedError(
        .ioError,
        "\(shownPath(list)): cannot be read; check the recipe's data.validation_list, which may be \"\" to do without one"
      )
    }
  }

  /// - Throws: `DatasetError` where a list cannot be read or understood; `SharedError(.badData)` where no training
  ///   clip is usable, or the classes do not fit the model; `SharedError(.ioError)` naming a file that cannot be read
  ///   for a passing reason.
  func build() throws -> Indexes {
    if let pack = PackedData(recipe) { return try pack.indexes(self) }
    let data = recipe.data
    var lists = try DataSetLists(DataSetDescription(recipe, remote: remote))
    lists.notes.forEach(settings.say)
    let classes = lists.classes
    guard classes.names.count <= recipe.model.classes else {
      throw SharedError(
        .badConfiguration,
        "'model.classes' is \(recipe.model.classes), but \(lists.trainName) has \(classes.names.count) classes; set it to that"
      )
    }
    if classes.names.count < recipe.model.classes {
      settings.say(
        "warning: 'model.classes' is \(recipe.model.classes), and \(lists.trainName) has \(classes.names.count) classes: the "
          + "others have no name and no clip")
    }
    for (name, list) in [(lists.trainName, lists.train), (lists.validationName, lists.validation)] {
      guard let several = list?.found.firstWithSeveralClasses else { continue }
      try recipe.requireBinaryLoss(for: several.candidate.id, in: "\(name):\(several.line)")
    }
    folder.begin()
    let (train, badTrain) = try index(lists.takeTrain(), classes, "train", named: lists.trainName, in: data.trainVideos)
    guard !train.clips.isEmpty else {
      throw SharedError(
        .badData,
        "\(lists.trainName): no training clip can be used; the first reason: "
          + (try badTrain.prefix(1).first.map { "\($0.id): \($0.reason)" } ?? "the list is empty"))
    }
    let (validation, badValidation) = try index(
      lists.takeValidation(), classes, "validation", named: lists.validationName, in: data.validationVideos)
    try folder.finish(recipe)
    return Indexes(train: train, validation: validation, rejectedTrain: badTrain, rejectedValidation: badValidation)
  }

  /// - Parameters:
  ///   - candidates: nil for a list without rows.
  ///   - kind: `train` or `validation`.
  private func index(
    _ candidates: consuming ClipCandidates?, _ classes: ClassList, _ kind: String, named list: String, in videos: String
  ) throws -> (ClipIndex, RejectedList) {
    let rejected = candidates?.rejected ?? []
    let rows = IndexRows(candidates?.found ?? CandidateList())
    candidates = nil
    return try index(rows, rejected: rejected, classes: classes.names, kind, videos: videos) { [progress] in
      progress(list, $0)
    }
  }

  /// Probes the files of rows, and writes what a list's index consists of.
  /// - Parameter rows: are let go of when their files are probed.
  func index(
    _ rows: consuming IndexRows, rejected: [RejectedClip], classes: [String], _ kind: String, videos: String,
    _ progress: @escaping @Sendable (FileIndexing.Progress) -> Void
  ) throws -> (ClipIndex, RejectedList) {
    let rules = ProbedVideo.rules(recipe)
    let (files, kept, part) = (folder.files(kind), folder.files(kind) + ".kept", folder.files(kind) + ".part")
    try ProbedFiles.recover(part, into: kept, folder: folder.path, rules: rules)
    // The other list may name the same files.
    let known = [kept, files, folder.files("train")].compactMap { try? ProbedFiles($0, rules: rules) }
    let output = FileIndexing.Output(
      index: try ClipIndexWriter(classes: classes, folder: folder.path),
      rejected: try RejectedListWriter(folder: folder.path), files: try ProbedFiles.Writer(rules: rules, keeping: part))
    for clip in rejected { try output.rejected.add(clip) }
    var settings = settings.reading(remote)
    settings.progress = progress
    try FileIndexing(
      recipe.data.path, videos, rows: rows, known: known, rejected: rejected.count, settings, output
    ).run()
    try output.files.finish(at: files)
    unsafe unlink(kept)
    unsafe unlink(part)
    let index = try output.index.finish(at: folder.clips(kind))
    try index.export(to: folder.export(kind))
    return (index, try output.rejected.finish(at: folder.rejected(kind)))
  }
}
