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
    abstract: "Writes a small data set of video files whose classes differ only in the order of frames.")

  @Argument(help: "The folder to write to.") var folder: String
  @Option(help: "How many training clips.") var train = 1440
  @Option(help: "How many validation clips.") var validation = 240
  @Option(help: "The seed; the same seed gives the same bytes.") var seed: UInt64 = 1

  func validate() throws {
    guard (1...1_000_000).contains(train), (0...1_000_000).contains(validation) else {
      throw ValidationError("--train must be from 1 to 1000000, --validation from 0 to 1000000")
    }
  }

  func run() throws {
    let display = ProgressDisplay()
    let progress = SharedProgress(display)
    let written = try DemoDataSet.write(to: folder, training: train, validation: validation, seed: seed) {
      done, total in
      progress.show("writing  \(done)/\(total) clips")
    }
    display.clear()
    display.line(
      written
        ? "\(train + validation) clips of \(DemoDataSet.classes.count) classes in \(folder)" : "\(folder) is complete")
  }
}

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Computes top-1 and top-5 of a model over the validation list, on all workers.")

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var recipes: RecipeOptions
  @Option(help: "A model.safetensors, a checkpoint's folder, or a run directory: its best checkpoint, else its newest.")
  var checkpoint: String

  func run() throws {
    let display = ProgressDisplay()
    let given = try recipes.resolve()
    let recipe = given.recipe
    let slots = try cluster.slots()
    let (socket, endpoint) = try cluster.bind(display)
    let found = try ModelFile(checkpoint)
    let (file, model) = (found.path, try found.data())
    _ = try SafeTensors(model, origin: file)
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
    display.line("validation: \(result.text)")
  }
}
