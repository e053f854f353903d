// The `worker` command.
import ArgumentParser
import CLinux
import Foundation
import Shared

@main
struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Computes lanes of a training run, or one thing by itself.",
    subcommands: [JoinCommand.self, StepCommand.self, ProfileCommand.self, BenchCommand.self],
    defaultSubcommand: JoinCommand.self)

  /// Reports failures in one line with the exit code that belongs to them.
  static func main() {
    // Messages of a ring come and go by the thousand.
    keepFreedMemory()
    endWhereLibrariesLackMemory()
    do {
      var command = try parseAsRoot()
      do { try command.run() } catch let failure as any Failure {
        // A full disk behind it must not change the exit code.
        try? FileHandle.standardError.write(contentsOf: Data("worker: \(failure.description)\n".utf8))
        Foundation.exit(failure.exitCode)
      }
    } catch { exit(withError: error) }
  }
}
