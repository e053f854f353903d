// `coordinator demo-data`.
import ArgumentParser
import DemoData

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
