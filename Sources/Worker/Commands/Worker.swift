// The `worker` command.
import ArgumentParser
import CLinux
import Foundation
import Shared
import Video

@main
struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Computes lanes of a training run; other subcommands run one part in isolation.",
    subcommands: [
      JoinCommand.self, PredictCommand.self, FeaturesCommand.self, MatchCommand.self, StepCommand.self,
      ProfileCommand.self,
      BenchCommand.self,
    ],
    defaultSubcommand: JoinCommand.self)

  /// Reports a failure in one line, and exits with its code.
  static func main() {
    // This program also decodes for itself, in processes of their own.
    DecodingService.runIfAsked()
    // The ring allocates and frees thousands of messages.
    keepFreedMemory()
    endWhereLibrariesLackMemory()
    do {
      var command = try parseAsRoot()
      do { try command.run() } catch let failure as any Failure {
        // A full disk behind standard error must not change the exit code.
        try? FileHandle.standardError.write(contentsOf: Data("worker: \(failure.description)\n".utf8))
        Foundation.exit(failure.exitCode)
      }
    } catch { exit(withError: error) }
  }
}
