// What lies where in a run directory.
import Foundation
import Messaging
import Shared

/// A run directory; it and its folders exist.
struct RunDirectory {
  let path: String
  /// The indexes of the run's data.
  let index: IndexFolder

  var journal: String { path + "/run.db" }
  var recipe: String { path + "/recipe.yaml" }
  /// The model that the run started from, if its recipe names one.
  var initialModel: String { path + "/init.safetensors" }
  var checkpoints: String { path + "/checkpoints" }
  var logs: String { path + "/logs" }
  /// The keys of the run's coordinator, and those that a worker finds there that is started by hand.
  var keys: KeyFiles { KeyFiles(path + "/keys") }
  /// Where the run's coordinator listens, so that one that is started again is found by the workers.
  var endpoint: String { path + "/endpoint" }
  /// Where the indexes of other data than the run's go, for an evaluation.
  var otherIndex: String { path + "/other-index" }

  var holdsRun: Bool { FileManager.default.fileExists(atPath: journal) }

  /// Where the coordinator of an earlier run in `path` listened.
  static func endpoint(in path: String) -> String? {
    FileManager.default.contents(atPath: path + "/endpoint").map { String(decoding: $0, as: UTF8.self) }
  }

  init(_ path: String) throws {
    self.path = path
    for folder in [path, path + "/checkpoints", path + "/logs"] {
      do {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      } catch {
        throw SharedError(.ioError, "\(folder): cannot be made; check the permissions and the space left on its disk")
      }
    }
    index = try IndexFolder(path + "/index")
  }

  /// Removes what was made for a run that was not begun, by whoever holds its lock. What indexing has found stays,
  /// since it need not be found again; so does what others have put here.
  func removeUnbegun() {
    for file in [journal, journal + "-wal", journal + "-shm", path + "/run.lock", initialModel] { unsafe unlink(file) }
    // Folders that hold something are not removed.
    for folder in [checkpoints, logs, index.path, path] { unsafe rmdir(folder) }
  }
}
