// `coordinator evaluate`: a model over the validation clips, on all workers.
import ArgumentParser
import Checkpoint
import CoordinatorCore
import Dataset
import Foundation
import Recipes
import Shared
import Training
import Wire

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Computes the accuracy and the loss of a model over the validation clips, on all workers.")

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var files: EvaluationFiles
  @Option(help: "A model.safetensors, a checkpoint's folder, or a run directory: its best checkpoint, else its newest.")
  var checkpoint: String
  @Flag(help: "Evaluate the checkpoint's running average of the weights (optimizer.ema).") var average = false

  @Option(help: "Views of each clip in time, averaged; 1 to 100. Default: the recipe's data.evaluation_clips.")
  var clips: Int?

  @Option(help: "Views of each clip in space, averaged; 1, 3, 5 or 10. Default: the recipe's data.evaluation_crops.")
  var crops: Int?

  @Option(help: "Evaluate so many of the clips, drawn by the seed; 0 for all. Default: the recipe's validation.clips.")
  var sample: Int?

  @Option(
    help:
      "Measure batch norms over so many training clips; 0 for the running statistics. Default: the recipe's validation.precise_bn."
  )
  var preciseBn: Int?

  func validate() throws {
    guard (preciseBn.map { (0...1_000_000).contains($0) }) ?? true else {
      throw ValidationError("--precise-bn must be from 0 to 1000000")
    }
    guard (clips.map { (1...100).contains($0) }) ?? true else { throw ValidationError("--clips must be from 1 to 100") }
    guard (crops.map { [1, 3, 5, 10].contains($0) }) ?? true else {
      throw ValidationError("--crops must be 1, 3, 5 or 10")
    }
    guard sample ?? 0 >= 0 else { throw ValidationError("--sample must be from 0 up") }
  }

  func run() throws {
    let display = ProgressDisplay()
    let modelFile = try ModelFile(checkpoint)
    let given = try recipes.resolve(for: modelFile)
    var recipe = given.recipe
    recipe.data.evaluationClips = clips ?? recipe.data.evaluationClips
    recipe.data.evaluationCrops = crops ?? recipe.data.evaluationCrops
    recipe.validation.clips = sample ?? recipe.validation.clips
    recipe.validation.preciseNorm = preciseBn ?? recipe.validation.preciseNorm
    try files.require(recipe.loss.kind)
    let slots = try cluster.slots()
    try files.requireWritable()
    let (model, file) = try givenModel(modelFile, average: average)
    do { _ = try TrainedModel(modelFile, recipe: recipe) } catch let error as CheckpointError {
      throw SharedError(error.status, "\(error); name the recipe that it was trained with (--recipe)")
    }
    let directory = try RunDirectory(given.directory)
    let entrance = try cluster.open(display, slots, keys: directory.keys)
    let indexes = try evaluationIndexes(given, directory, display)
    guard !indexes.validation.clips.isEmpty else {
      let list = shownPath(folderPath(data: recipe.data.path, recipe.data.validationList))
      throw SharedError(.badData, "\(list): no validation clip can be used")
    }
    let plan = RunPlan(recipe: recipe, indexes: indexes, lastStep: 0, evaluateOnly: model)
    try plan.requireFewScores()
    guard plan.givesScores || !files.isWanted else {
      throw SharedError(.usage, "\(recipe.model.classes) classes are too many for files of scores")
    }
    let loop = try CoordinatorLoop(
      plan, door: entrance.door, keys: entrance.keys,
      fleet: try cluster.fleet(slots, recipe, logs: directory.logs, coordinator: entrance.endpoint), display: display,
      journal: nil, store: nil, past: .init(checkpoint: 0))
    guard let result = try loop.run().result(checkpoint: file) else {
      throw SharedError(.failed, "the evaluation ended without a result")
    }
    for reason in result.failed { display.line("warning: validation clip left out: \(reason)") }
    display.line("validation: \(result.text(classes: indexes.train.classes.count))")
    let report = EvaluationReport(result.scores, names: indexes.validation.classes, recipe.loss.kind) { position in
      let clip = indexes.validation.clips[position]
      return (clip.id, clip.labels)
    }
    for line in files.lines(report, of: result.clips) { display.line(line) }
    for path in try files.write(report) { display.line("wrote \(path)") }
  }
}

/// What `evaluate` tells besides top-1, top-5 and the loss.
struct EvaluationFiles: ParsableArguments {
  @Option(help: "Which top-k accuracies to give: numbers from 1 up, separated by commas.")
  var top = "1,5"

  @Option(
    help: "Write each class's clips and accuracy, or average precision (loss.kind: binary), to this file, as CSV.")
  var perClass: String?

  @Option(help: "Write the confusion matrix to this file: as a picture if its name ends in .svg, else as CSV.")
  var confusion: [String] = []

  @Option(
    help:
      "Write each clip's scores (logits, means over its views; probabilities with loss.kind: binary) to this file, as CSV."
  )
  var scores: String?

  func validate() throws {
    guard !tops.isEmpty, tops.count == top.split(separator: ",", omittingEmptySubsequences: false).count,
      tops.allSatisfy({ $0 > 0 })
    else { throw ValidationError("--top is '\(top)', expected numbers from 1 up, such as 1,5,10") }
  }

  /// - Throws: `SharedError(.usage)` for a file that means nothing for this loss.
  func require(_ kind: LossRecipe.Kind) throws {
    guard kind == .binary, !confusion.isEmpty else { return }
    throw SharedError(
      .usage,
      "--confusion is for clips of one class: with 'loss.kind: binary' no class takes another's place; --per-class gives each "
        + "class's average precision")
  }

  private var tops: [Int] { top.split(separator: ",").compactMap { Int($0) } }

  private var paths: [String] { [perClass, scores].compactMap(\.self) + confusion }

  var isWanted: Bool { !paths.isEmpty }

  /// It is a pity to find that out after the evaluation.
  func requireWritable() throws {
    for path in paths {
      let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
      guard FileManager.default.isWritableFile(atPath: folder) else {
        throw SharedError(.ioError, "\(path): cannot be written; the folder must exist, and be writable")
      }
    }
  }

  func lines(_ report: EvaluationReport, of clips: Int) -> [String] {
    let mean = report.meanClassAccuracy.map { "mean class accuracy: \(fixed(100 * $0, 1)) %" }
    let others = tops == [1, 5] ? nil : tops.map { "top-\($0) \(percent(report.right($0), clips))" }
    return [mean, others?.joined(separator: ", ")].compactMap(\.self)
  }

  /// - Returns: the files that were written.
  func write(_ report: EvaluationReport) throws -> [String] {
    var contents: [(path: String, text: String)] = []
    if let perClass { contents.append((perClass, report.perClass(tops))) }
    for path in confusion {
      contents.append((path, path.hasSuffix(".svg") ? report.picture() : report.confusionTable()))
    }
    if let scores { contents.append((scores, report.scoreTable())) }
    for (path, text) in contents { try writeFile(Data(text.utf8), to: path) }
    return contents.map(\.path)
  }
}
