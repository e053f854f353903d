// `coordinator keygen`: a folder of keys, for workers that something else than the coordinator starts.
import ArgumentParser
import Messaging

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen", abstract: "Makes a folder of keys for workers that the coordinator does not start.",
    discussion: """
      Give the folder to the coordinator and to each worker with --keys DIR or TAMRING_KEYS. The coordinator's host needs all \
      files, a worker's coordinator.public and workers.secret. Carry the secret ones over ssh, or as a Kubernetes Secret.
      """)

  @Argument(help: "The folder; it is made if it is not there.")
  var folder: String

  func run() throws {
    try KeyFiles(folder).make()
    print("\(folder): coordinator.secret, coordinator.public, workers.secret")
  }
}
