// The model that a run starts from (`init` in the recipe): its bytes, its digest, and its copy in the run directory.
import Checkpoint
import Foundation
import Glibc
import Recipes
import Shared

/// The recipe's initial model. The coordinator alone needs the file: workers fetch the bytes, and a resumed run has its
/// own copy.
struct StartingModel {
  /// All of the file, mapped.
  let data: Data
  /// With the digest of the bytes.
  let recipe: Recipe
  private let file: ModelFile

  /// - Returns: nil where the recipe names no model.
  /// - Throws: `SharedError` or `CheckpointError` if there is no such file, it is not safetensors, or its bytes are not those
  ///   of `init_sha256`.
  init?(_ recipe: Recipe) throws {
    guard !recipe.initial.path.isEmpty else { return nil }
    file = try ModelFile(recipe.initial.path)
    data = try file.data()
    _ = try SafeTensors(data, origin: file.path)
    let digest = sha256Hex(data)
    guard recipe.initial.sha256.isEmpty || recipe.initial.sha256 == digest else {
      throw SharedError(
        .badConfiguration,
        "\(file.path): its SHA-256 is \(digest), but 'init_sha256' is \(recipe.initial.sha256); name the right file in "
          + "'init'")
    }
    var recipe = recipe
    recipe.initial.sha256 = digest
    self.recipe = recipe
  }

  /// Has a worker match the file with the network, which this program does not know.
  /// - Returns: what is taken, skipped and missing, a line each; nothing where there is no worker on this machine.
  /// - Throws: `SharedError` with the worker's reason if nothing matches.
  func report(logs: String) throws -> [String] {
    let program = LaunchSettings.workerBesideThisProgram()
    guard FileManager.default.isExecutableFile(atPath: program) else { return [] }
    let recipePath = "\(logs)/init-recipe.yaml"
    try Data(recipe.yaml().utf8).write(to: URL(fileURLWithPath: recipePath), options: .atomic)
    defer { try? FileManager.default.removeItem(atPath: recipePath) }
    let (input, output) = (unsafe open("/dev/null", O_RDONLY | O_CLOEXEC), openNamelessFile(in: logs))
    defer { for descriptor in [input, output] where descriptor >= 0 { close(descriptor) } }
    guard input >= 0, output >= 0 else {
      throw SharedError(.ioError, "\(logs): takes no file; check the space left there")
    }
    let (pid, code) = spawn(
      [program, "match", "--recipe", recipePath, "--model", file.path],
      environment: ProcessInfo.processInfo.environment, descriptors: [input, output, output], in: .group)
    guard let pid else { throw LaunchError("start", program, errorNumber: code) }
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) == -1, errno == EINTR {}
    let text = (try? Data(contentsOf: URL(fileURLWithPath: "/proc/self/fd/\(output)"))) ?? Data()
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    guard status == 0 else {
      let reason = lines.last.map { $0.hasPrefix("worker: ") ? String($0.dropFirst(8)) : $0 }
      let exit = status & 0x7f == 0 ? ExitStatus(rawValue: status >> 8 & 0xff) : nil
      throw SharedError(exit ?? .failed, reason ?? "\(program): ended without a reason while it read \(file.path)")
    }
    return ["init: \(file.path)"] + lines.map { "init: \($0)" }
  }

  // MARK: A resumed run

  /// The copy in a run directory, if it is there and whole.
  static func kept(in directory: RunDirectory, _ recipe: Recipe) -> Data? {
    guard !recipe.initial.sha256.isEmpty,
      let data = try? Data(contentsOf: URL(fileURLWithPath: directory.initialModel), options: .mappedIfSafe),
      sha256Hex(data) == recipe.initial.sha256
    else { return nil }
    return data
  }

  /// A recipe to resume with, with the digest of the model that it names. A path that is the run's own is not read again:
  /// what lies there may be gone.
  /// - Throws: as `init`.
  static func resolved(_ given: Recipe, over kept: Recipe) throws -> Recipe {
    var recipe = given
    if given.initial.path == kept.initial.path {
      recipe.initial.sha256 = kept.initial.sha256
      return recipe
    }
    recipe.initial.sha256 = ""
    return try StartingModel(recipe)?.recipe ?? recipe
  }
}
