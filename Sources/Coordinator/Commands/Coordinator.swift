// The `coordinator` command.
import ArgumentParser

@main
struct CoordinatorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "coordinator", abstract: "Trains bLVNet-TAM")
}
