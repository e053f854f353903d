// `coordinator pack`: writes the clips of a recipe's lists as WebDataset shards of small videos; checks a pack.
import ArgumentParser
import Dataset
import Foundation
import Packing
import Recipes
import RunJournal
import Shared
import Video

struct PackCommand: ParsableCommand {
  enum Copying: String, ExpressibleByArgument, CaseIterable {
    case fitting, never
  }

  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Writes the clips of the recipe's lists as WebDataset shards of small videos, with their index.",
    discussion: """
      Indexes the lists first, as 'index' does. Given again after it was stopped, it goes on with the shard that was not \
      finished. With --verify, it reads all of a pack and names what has changed.
      """)

  @OptionGroup var recipes: RecipeOptions
  @Argument(help: "The folder of the pack.") var folder: String
  @Option(help: "Pixels of the pictures' shorter side; even. Smaller ones are not enlarged.") var shortSide = 256
  @Option(help: "H.264's quantiser, from 0 (no loss) to 51.") var quality = 23
  @Option(help: "Bytes of a shard, at most, unless one clip has more.") var shardBytes = 256 << 20
  @Option(help: "Clips of a shard, at most.") var clipsPerShard: Int?
  @Option(help: "Which files to copy as they are: fitting (small H.264 files with near key frames), or never.")
  var copy = Copying.fitting
  @Option(help: "Clips that are packed at the same time. Default: one for each core.") var threads: Int?
  @Flag(help: "Read all of the pack in FOLDER, and name what has changed. Needs no recipe.") var verify = false

  func validate() throws {
    guard (16...4096).contains(shortSide), shortSide % 2 == 0 else {
      throw ValidationError("--short-side must be even, from 16 to 4096")
    }
    guard (0...51).contains(quality) else { throw ValidationError("--quality must be from 0 to 51") }
    guard (1 << 16...1 << 40).contains(shardBytes) else {
      throw ValidationError("--shard-bytes must be from 65536 to 1099511627776")
    }
    guard clipsPerShard.map({ $0 > 0 }) ?? true else { throw ValidationError("--clips-per-shard must be at least 1") }
    guard threads.map({ (1...1024).contains($0) }) ?? true else {
      throw ValidationError("--threads must be from 1 to 1024")
    }
  }

  func run() throws {
    let display = ProgressDisplay()
    if verify { return try check(display) }
    let given = try recipes.resolve()
    let recipe = given.recipe
    guard PackedData(recipe) == nil else {
      throw SharedError(.usage, "\(recipe.data.path): is a pack already; pack the data that it was made of")
    }
    let indexes = try indexes(given, display)
    let progress = PackProgress(display)
    var packer = Packer(
      folder: folder, data: recipe.data.path,
      lists: [
        Packer.List(
          name: "train", index: indexes.train, rejected: indexes.rejectedTrain, videos: recipe.data.trainVideos),
        Packer.List(
          name: "validation", index: indexes.validation, rejected: indexes.rejectedValidation,
          videos: recipe.data.validationVideos),
      ], packing: ClipPacking(shortSide: shortSide, quantiser: quality, copies: copy == .fitting),
      limits: ShardLimits(bytes: shardBytes, clips: clipsPerShard ?? .max), seed: recipe.seed,
      rules: recipe.videoRules, prober: ProbedVideo.prober)
    packer.threads = threads ?? packer.threads
    packer.progress = progress.show
    packer.say = progress.line
    let outcome = try packer.run()
    display.clear()
    try report(outcome, display)
  }

  private func indexes(_ given: GivenRecipe, _ display: ProgressDisplay) throws -> Indexes {
    let directory = try RunDirectory(given.directory)
    if directory.holdsRun { return try evaluationIndexes(given, directory, display) }
    if given.needsValidation { try IndexBuilder.requireValidation(given.recipe) }
    let lock = try RunLock(directory.path)
    defer { withExtendedLifetime(lock) {} }
    // Files may have changed, though the lists have not.
    return try index(given, directory.index, display)
  }

  private func report(_ outcome: Packer.Outcome, _ display: ProgressDisplay) throws {
    if outcome.wasWhole {
      display.line("\(folder): is complete")
    } else {
      let copies = outcome.copies == 0 ? "" : ", \(outcome.copies) of them copied as they were"
      display.line(
        "\(folder): \(outcome.clips) clips\(copies), \(Self.size(outcome.bytes)) in \(outcome.shards) shards; "
          + "\(outcome.rejected) could not be packed"
          + (outcome.rejected == 0 ? "" : " (\(folder)/rejected-train.tsv, rejected-validation.tsv)"))
    }
    let path = URL(fileURLWithPath: folder).standardizedFileURL.path
    let part = "data:\n  path: \(Self.quoted(path))\n"
    let file = "\(folder)/data.yaml"
    let comment = "# For a recipe that trains on this pack. It needs no lists, labels and folders of videos.\n"
    try writeFile(Data((comment + part).utf8), to: file)
    display.line(
      "to train on it, put this into the recipe in place of its lists, labels and folders (\(file)):\n\n\(part)")
  }

  /// A string in YAML.
  private static func quoted(_ text: String) -> String {
    let isPlain = text.unicodeScalars.allSatisfy {
      $0.properties.isAlphabetic || "/0123456789._-".unicodeScalars.contains($0)
    }
    return isPlain ? text : "'" + text.replacingOccurrences(of: "'", with: "''") + "'"
  }

  private func check(_ display: ProgressDisplay) throws {
    guard let pack = try Pack(in: folder) else {
      throw SharedError(
        .ioError, "\(folder): has no \(PackManifest.name), so it is no pack, or one that is not finished")
    }
    let progress = SharedProgress(display)
    let problems = pack.verify { done, total in
      progress.show("reading  \(Self.size(done)) of \(Self.size(total))")
    }
    display.clear()
    for problem in problems { display.line(problem) }
    guard problems.isEmpty else {
      throw SharedError(
        .badData,
        "\(folder): \(problems.count) things are not as they were packed; copy those files again, or pack anew")
    }
    let clips = pack.manifest.shards.reduce(0) { $0 + $1.clips }
    display.line("\(folder): \(clips) clips in \(pack.manifest.shards.count) shards are as they were packed")
  }

  static func size(_ bytes: some BinaryInteger) -> String {
    let bytes = Double(bytes)
    for (unit, name) in [(1e9, "GB"), (1e6, "MB"), (1e3, "KB")] where bytes >= unit {
      return String(format: "%.1f %@", bytes / unit, name as NSString)
    }
    return "\(Int(bytes)) bytes"
  }
}

/// How far packing is, and how fast it goes.
///
/// Sendable because the lock guards everything that changes; the display has its own.
private final class PackProgress: @unchecked Sendable {
  private let lock = NSLock()
  private let display: SharedProgress
  private var list = ""
  private var start = ContinuousClock.now

  init(_ display: ProgressDisplay) { self.display = SharedProgress(display) }

  func line(_ text: String) { display.line(text) }

  func show(_ now: Packer.Progress) {
    let seconds = lock.withLock {
      if now.list != list { (list, start) = (now.list, .now) }
      let passed = (ContinuousClock.now - start).components
      return Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    }
    var text = "packing \(now.list)  \(now.done)/\(now.total) clips"
    if seconds > 1 {
      let rate = Double(now.done - now.before) / seconds
      text += String(format: "  %.1f/s", rate)
      if rate > 0, now.done < now.total { text += "  \(clock(Double(now.total - now.done) / rate)) left" }
    }
    text += "  \(now.rejected) left out  \(PackCommand.size(now.bytes))"
    display.show(text)
  }
}
