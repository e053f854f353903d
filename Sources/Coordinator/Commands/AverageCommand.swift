// `coordinator average`: the running average of the weights as a model file; and which model a command is given.
import ArgumentParser
import Checkpoint
import Foundation
import Shared

struct AverageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "average",
    abstract: "Writes a checkpoint's running average of the weights (optimizer.ema) as a model.safetensors.")

  @Argument(help: "A checkpoint folder.") var checkpoint: String
  @Option(help: "The file to write.") var out: String

  func run() throws {
    let (model, _) = try givenModel(ModelFile(checkpoint), average: true)
    try writeFile(model, to: out)
    ProgressDisplay().line("the average of the weights of \(checkpoint) is in \(out)")
  }
}

/// The model that a command is given: a file, a checkpoint's, or a run's (see `ModelFile`).
/// - Parameter average: whether the running average of the weights is wanted; only a checkpoint has it.
/// - Returns: its bytes, and what to call it.
func givenModel(_ file: ModelFile, average: Bool) throws -> (Data, file: String) {
  var model = try file.data()
  if average {
    let path = URL(fileURLWithPath: file.path).deletingLastPathComponent().path + "/" + CheckpointFiles.trainerName
    guard let trainer = FileManager.default.contents(atPath: path) else {
      throw SharedError(.ioError, "\(path): cannot be read, and would hold the average; give a checkpoint's folder")
    }
    model = try CheckpointFiles(model: model, trainer: trainer).averagedModel()
  }
  _ = try SafeTensors(model, origin: file.path)
  return (model, file.path)
}
