// Finds the model that a path stands for: a file, a checkpoint, or a run's best or newest checkpoint.
import Foundation

/// A model.safetensors on disk, and the recipe of the run that it belongs to.
public struct ModelFile: Hashable, Sendable {
  public let path: String
  /// The run's recipe.yaml; nil if the file lies in no run.
  public let recipe: String?

  /// - Parameter given: a safetensors file, a checkpoint's folder, or a run directory: its best checkpoint, or the
  ///   newest where none is marked as the best.
  /// - Throws: `CheckpointError` if there is no such file, or a folder holds no model.
  public init(_ given: String) throws(CheckpointError) {
    guard Self.isFolder(given) else {
      guard FileManager.default.fileExists(atPath: given) else {
        throw CheckpointError(
          missing: "there is no such file; give a safetensors file, a checkpoint or a run directory", path: given)
      }
      path = given
      recipe = Self.recipe(ofModel: given)
      return
    }
    let folder = given.count > 1 && given.hasSuffix("/") ? String(given.dropLast()) : given
    let checkpoints = "\(folder)/checkpoints"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
    let steps = names.compactMap(CheckpointStore.step(ofName:)).sorted(by: >).map(CheckpointStore.name(ofStep:))
    let link = "\(checkpoints)/\(CheckpointStore.bestName)"
    let best = try? FileManager.default.destinationOfSymbolicLink(atPath: link)
    let places = [folder] + ([best].compactMap(\.self) + steps).map { "\(checkpoints)/\($0)" }
    guard
      let found = places.map({ "\($0)/\(CheckpointFiles.modelName)" }).first(
        where: FileManager.default.fileExists(atPath:))
    else {
      throw CheckpointError(
        missing: "holds no \(CheckpointFiles.modelName) and no checkpoints; give a checkpoint or a run directory",
        path: given)
    }
    path = found
    recipe = Self.recipe(ofModel: found)
  }

  /// Its bytes, mapped.
  /// - Throws: `CheckpointError` if it cannot be read.
  public func data() throws(CheckpointError) -> Data {
    do { return try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) } catch {
      throw CheckpointError("read", path: path, errno: errno == 0 ? EIO : errno)
    }
  }

  /// A model lies in RUN/checkpoints/step-N.
  private static func recipe(ofModel path: String) -> String? {
    let run = URL(fileURLWithPath: path).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let recipe = run.appendingPathComponent("recipe.yaml").path
    return FileManager.default.fileExists(atPath: recipe) ? recipe : nil
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
