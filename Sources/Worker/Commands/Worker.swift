// The `worker` command.
import ArgumentParser

@main
struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "worker", abstract: "Trains bLVNet-TAM")
}
