// Commands that train nothing: demo data, an evaluation.
import ArgumentParser
import Checkpoint
import CoordinatorCore
import Dataset
import DemoData
import Foundation
import Shared

struct DemoDataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo-data",
    abstract: "Writes a small data set of video files whose classes differ only in time.")

  @Argument(help: "The folder to write to.") var folder: String
  @Option(
    help: """
      motion: 6 classes of motion, 2 seconds, learned in minutes; long: 18 classes of two or three events, 4 seconds, that \
      differ in the events' order and the time between them.
      """) var set = DemoSet.motion
  @Option(help: "How many training clips. Default: 1440 (motion), 2880 (long).") var train: Int?
  @Option(help: "How many validation clips. Default: 240 (motion), 360 (long).") var validation: Int?
  @Option(help: "The seed; the same seed gives the same bytes.") var seed: UInt64 = 1

  func validate() throws {
    guard (1...1_000_000).contains(train ?? 1), (0...1_000_000).contains(validation ?? 0) else {
      throw ValidationError("--train must be from 1 to 1000000, --validation from 0 to 1000000")
    }
  }

  func run() throws {
    let display = ProgressDisplay()
    let progress = SharedProgress(display)
    let (train, validation) = (train ?? set.usualCounts.training, validation ?? set.usualCounts.validation)
    let written = try DemoDataSet.write(set, to: folder, training: train, validation: validation, seed: seed) {
      done, total in
      progress.show("writing  \(done)/\(total) clips")
    }
    display.clear()
    display.line(
      written
        ? "\(train + validation) clips of \(set.classes.count) classes in \(folder)" : "\(folder) is complete")
  }
}

extension DemoSet: ExpressibleByArgument {}

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Computes top-1 and top-5 of a model over the validation list, on all workers.")

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var recipes: RecipeOptions
  @Option(help: "A model.safetensors, a checkpoint's folder, or a run directory: its best checkpoint, else its newest.")
  var checkpoint: String
  @Flag(help: "Evaluate the checkpoint's running average of the weights (optimizer.ema).") var average = false

  func run() throws {
    let display = ProgressDisplay()
    let given = try recipes.resolve()
    let recipe = given.recipe
    let slots = try cluster.slots()
    let (socket, endpoint) = try cluster.bind(display)
    let (model, file) = try givenModel(checkpoint, average: average)
    let directory = try RunDirectory(given.directory)
    let indexes = try evaluationIndexes(given, directory, display)
    guard !indexes.validation.clips.isEmpty else {
      let list = shownPath(folderPath(data: recipe.data.path, recipe.data.validationList))
      throw SharedError(.badData, "\(list): no validation clip can be used")
    }
    let plan = RunPlan(recipe: recipe, indexes: indexes, lastStep: 0, evaluateOnly: model)
    let loop = try CoordinatorLoop(
      plan, socket: socket, fleet: try cluster.fleet(slots, recipe, logs: directory.logs, coordinator: endpoint),
      display: display, journal: nil, store: nil, past: .init(checkpoint: 0))
    guard let result = try loop.run().result(checkpoint: file) else {
      throw SharedError(.failed, "the evaluation ended without a result")
    }
    for reason in result.failed { display.line("warning: validation clip left out: \(reason)") }
    display.line("validation: \(result.text(classes: indexes.train.classes.count))")
  }
}
