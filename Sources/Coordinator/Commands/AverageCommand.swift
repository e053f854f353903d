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
    let (model, _) = try givenModel(checkpoint, average: true)
    do { try model.write(to: URL(fileURLWithPath: out)) } catch {
      throw SharedError(.ioError, "\(out): cannot be written; check the folder and the space left on its disk")
    }
    ProgressDisplay().line("the average of the weights of \(checkpoint) is in \(out)")
  }
}

/// The model that a command is given: a checkpoint folder's, or a file.
/// - Parameter average: whether the running average of the weights is wanted; only a folder has it.
/// - Returns: its bytes, and what to call it.
func givenModel(_ checkpoint: String, average: Bool) throws -> (Data, file: String) {
  func contents(_ path: String) throws -> Data {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw SharedError(
        .ioError,
        "\(path): cannot be read; give a checkpoint's folder" + (average ? "" : " or its model.safetensors"))
    }
    return data
  }
  let inside = checkpoint + "/" + CheckpointFiles.modelName
  let file = average || FileManager.default.fileExists(atPath: inside) ? inside : checkpoint
  var model = try contents(file)
  if average {
    let trainer = try contents(checkpoint + "/" + CheckpointFiles.trainerName)
    model = try CheckpointFiles(model: model, trainer: trainer).averagedModel()
  }
  _ = try SafeTensors(model, origin: file)
  return (model, file)
}
