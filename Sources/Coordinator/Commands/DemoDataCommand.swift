// `coordinator demo-data`.
import ArgumentParser
import DemoData

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
