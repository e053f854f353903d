// A recipe whose data is a pack: its index is there already, so no list is read, and mostly no video is opened.
import Dataset
import Foundation
import Packing
import Recipes
import Shared
import Video

/// The pack that a recipe's `data.path` is.
struct PackedData {
  private let recipe: Recipe
  /// What the manifest could not be read for is an error of `build`, not of the question whether it is a pack.
  private let found: Result<Pack, DatasetError>

  /// - Returns: nil if the data is no pack, or the recipe names lists of its own.
  init?(_ recipe: Recipe) {
    let data = recipe.data
    let list = folderPath(data: data.path, data.trainList)
    guard !isWebAddress(data.path), [AnnotationFormats.automatic, WebDatasetAnnotations().name].contains(data.format),
      data.trainList.isEmpty
        || (data.trainList == Recipe().data.trainList && !FileManager.default.fileExists(atPath: list))
    else { return nil }
    self.recipe = recipe
    do throws(DatasetError) {
      guard let pack = try Pack(in: data.path) else { return nil }
      found = .success(pack)
    } catch { found = .failure(error) }
  }

  /// The indexes of the pack, with the paths of this recipe.
  /// - Throws: `DatasetError` if a shard is missing or has another size, or, with `deep`, other contents; `SharedError`
  ///   if the classes do not fit the model, or a clip is not as it was packed.
  func indexes(_ builder: IndexBuilder) throws -> Indexes {
    let pack = try found.get()
    let settings = builder.settings
    try pack.checkSizes()
    if settings.deep {
      let problems = pack.verify()
      if let first = problems.first {
        throw SharedError(
          .badData, "\(first); \(problems.count) in all: 'coordinator pack --verify \(pack.folder)' names them")
      }
    }
    let train = try pack.index("train")
    guard train.classes.count <= recipe.model.classes else {
      throw SharedError(
        .badConfiguration,
        "'model.classes' is \(recipe.model.classes), but \(pack.folder) has \(train.classes.count) classes")
    }
    guard !train.clips.isEmpty else { throw SharedError(.badData, "\(pack.folder): has no training clip") }
    let packedValidation = try pack.index("validation")
    for index in [train, packedValidation] {
      guard let several = index.firstWithSeveralClasses else { continue }
      try recipe.requireBinaryLoss(for: index.clips[several].id, in: pack.folder)
    }
    let isKnown = pack.manifest.prober == ProbedVideo.prober
    let name = "\(pack.folder)/\(PackManifest.name)"
    let clips = pack.manifest.shards.reduce(0) { $0 + $1.clips }
    settings.say(
      "\(name): a pack of \(clips) clips in \(pack.manifest.shards.count) shards, "
        + (settings.deep
          ? "which are as they were packed; every clip is probed again"
          : "whose sizes are right; "
            + (isKnown
              ? "its index is taken, and no video is opened (--deep reads everything)"
              : "it was probed by another version of FFmpeg or of Tamring, so its clips are probed again"))
    )
    builder.folder.begin()
    let (index, rejected) = try make(pack, train, "train", builder, probes: settings.deep || !isKnown)
    let (validation, rejectedValidation) = try make(
      pack, packedValidation, "validation", builder, probes: settings.deep || !isKnown)
    try builder.folder.finish(recipe)
    return Indexes(
      train: index, validation: validation, rejectedTrain: rejected, rejectedValidation: rejectedValidation)
  }

  private func make(
    _ pack: Pack, _ packed: ClipIndex, _ list: String, _ builder: IndexBuilder, probes: Bool
  ) throws -> (ClipIndex, RejectedList) {
    let data = recipe.data
    let videos = list == "train" ? data.trainVideos : data.validationVideos
    let root = folderPath(data: data.path, videos)
    let indexed: @Sendable (String) -> String = { indexedPath("\(data.path)/\($0)", data: data.path, root: root) }
    let paths = Dictionary(pack.manifest.shards.map { ($0.name, indexed($0.name)) }) { first, _ in first }
    let path: @Sendable (String) -> String = { paths[$0] ?? indexed($0) }
    if probes {
      let rows = IndexRows(packed.clips, path: path)
      let made = try builder.index(rows, rejected: [], classes: packed.classes, list, videos: videos) {
        [progress = builder.progress] in progress(list, $0)
      }
      try made.0.forEach { _, clip in
        guard let number = packed.number(of: clip.id), packed.clips[number].hash == clip.hash else {
          throw SharedError(
            .badData, "\(data.path): the clip '\(clip.id)' is not as it was packed; see 'coordinator pack --verify'")
        }
      }
      return made
    }
    let folder = builder.folder
    let rules = recipe.videoRules
    let writer = try ClipIndexWriter(classes: packed.classes, folder: folder.path)
    let rejected = try RejectedListWriter(folder: folder.path)
    try packed.forEach { _, clip in
      var clip = clip
      clip.path = path(clip.path)
      if clip.bytes > rules.bytes || clip.frames > rules.packets || clip.width * clip.height > rules.pixels {
        try rejected.add(RejectedClip(id: clip.id, path: clip.path, reason: "it is beyond a limit of the recipe"))
      } else {
        try writer.add(clip)
      }
    }
    let index = try writer.finish(at: folder.clips(list))
    try index.export(to: folder.export(list))
    return (index, try rejected.finish(at: folder.rejected(list)))
  }
}
