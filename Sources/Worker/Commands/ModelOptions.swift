// What `predict` and `features` have in common: the model, the videos, and how each is looked at.
import ArgumentParser
import BLVNet
import Checkpoint
import Foundation
import Recipes
import Shared
import Training
import Video

struct ModelOptions: ParsableArguments {
  @Option(help: "A model.safetensors, a checkpoint's folder, or a run directory: its best checkpoint, else its newest.")
  var model: String

  @Option(help: "The recipe that the model was trained with, for files that do not say it.")
  var recipe: String?

  @Argument(
    help: "Videos, and folders of videos or of images. Without any, or for '-': a list, one a line, on standard input.")
  var videos: [String] = []

  @Option(help: "Clips of a video, spread over its time, whose logits are averaged, 1 to 100.") var clips = 1
  @Option(help: "Crops of each clip: 1, 3, 5 or 10.") var crops = 1
  @Option(help: "Cut videos into windows of this many seconds, and give a result for each.") var window: Double?
  @Option(help: "Seconds from the start of one window to the start of the next. Default: the window's own.")
  var every: Double?
  @Option(help: "Threads that decode and compute, 1 to 1024. Default: one for each core.") var threads: Int?

  func validate() throws {
    guard (1...100).contains(clips) else { throw ValidationError("--clips must be from 1 to 100") }
    guard [1, 3, 5, 10].contains(crops) else { throw ValidationError("--crops must be 1, 3, 5 or 10") }
    for (name, seconds) in [("--window", window), ("--every", every)] {
      guard seconds.map({ $0 >= 0.01 && $0 <= 1e6 }) ?? true else {
        throw ValidationError("\(name) must be from 0.01 to 1000000 seconds")
      }
    }
    guard every == nil || window != nil else { throw ValidationError("--every needs --window") }
    guard threads.map({ (1...1024).contains($0) }) ?? true else {
      throw ValidationError("--threads must be from 1 to 1024")
    }
  }

  func load() throws -> TrainedModel {
    try TrainedModel(ModelFile(model), recipe: recipe.map { try Recipe.read(path: $0) })
  }

  /// Passes on what came of each video, in their order, and reports those that could not be used.
  /// - Parameter failed: called with what is reported, besides.
  /// - Throws: `SharedError` if no video was named, or some could not be used; what `use` throws.
  func forEachVideo(
    _ model: TrainedModel, failed: (String, String) throws -> Void = { _, _ in },
    _ use: (String, [ClipResult]) throws -> Void
  ) throws {
    let looking = VideoLooking(model, clips: clips, crops: crops, window: window, every: every ?? window)
    let queue = VideoQueue(
      VideoArguments(videos.isEmpty ? ["-"] : videos), looking,
      threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    var failures = 0
    let count = try queue.forEach { path, result in
      switch result {
      case .success(let results): try use(path, results)
      case .failure(let error):
        failures += 1
        try? FileHandle.standardError.write(contentsOf: Data("worker: \(error)\n".utf8))
        try failed(path, "\(error)")
      }
    }
    guard count > 0 else {
      throw SharedError(.usage, "no video was named: give files, folders, or a list on standard input")
    }
    guard failures == 0 else {
      throw SharedError(.badData, "\(failures) of \(count) videos could not be used; the lines above say why")
    }
  }
}
