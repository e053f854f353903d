// The `coordinator` command.
import ArgumentParser
import Foundation
import Messaging
import Shared
import Video

@main
struct CoordinatorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinator", abstract: "Trains video networks over worker processes.",
    subcommands: [
      TrainCommand.self, IndexCommand.self, PackCommand.self, EvaluateCommand.self, AverageCommand.self,
      DemoDataCommand.self,
      StatusCommand.self, AuditCommand.self, KeygenCommand.self, BenchIndexCommand.self,
    ], defaultSubcommand: TrainCommand.self)

  /// Reports a failure in one line, and exits with its code.
  static func main() {
    // This program also decodes for itself, in processes of their own.
    DecodingService.runIfAsked()
    endWhereLibrariesLackMemory()
    do {
      // A closed pipe on standard output must not end training.
      try ignore(signals: [SIGPIPE])
      var command = try parseAsRoot()
      do { try command.run() } catch let failure as any Failure {
        // A full disk behind standard error must not change the exit code.
        try? FileHandle.standardError.write(contentsOf: Data("coordinator: \(failure.description)\n".utf8))
        Foundation.exit(failure.exitCode)
      }
    } catch { exit(withError: error) }
  }
}
