// MANIFEST.sha256: which files a checkpoint consists of, in the format of `sha256sum`.
import Foundation
import Shared

/// The lines of a manifest.
struct Manifest: Equatable {
  static let name = "MANIFEST.sha256"
  /// Bytes; no manifest of two files is longer.
  static let limit = 1024

  let digests: [String: String]

  init(_ files: CheckpointFiles) {
    digests = [
      CheckpointFiles.modelName: sha256Hex(files.model), CheckpointFiles.trainerName: sha256Hex(files.trainer),
    ]
  }

  /// - Parameter data: the file's bytes; if it has more than `limit`, as many of them as tell so.
  /// - Throws: `CheckpointError` if a line is not "DIGEST  NAME", or the files are not those of a checkpoint.
  init(_ data: Data, path: String) throws {
    guard data.count <= Self.limit else {
      throw CheckpointError(badData: "is damaged: it is longer than \(Self.limit) bytes", path: path)
    }
    var digests: [String: String] = [:]
    let lines = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    for (number, line) in lines.enumerated() where !line.isEmpty {
      let digest = line.prefix(64)
      guard digest.utf8.count == 64, digest.allSatisfy({ "0123456789abcdef".contains($0) }),
        line.dropFirst(64).hasPrefix("  ")
      else { throw CheckpointError(badData: "is damaged: line \(number + 1) is none of sha256sum", path: path) }
      digests[String(line.dropFirst(66))] = String(digest)
    }
    self.digests = digests
    guard Set(digests.keys) == Set(CheckpointFiles.names), self.data == data else {
      throw CheckpointError(
        badData: "is damaged: it must list \(CheckpointFiles.names.joined(separator: " and "))", path: path)
    }
  }

  /// The manifest's bytes: sorted by name, so that equal checkpoints have equal manifests.
  var data: Data {
    Data(digests.sorted { $0.key < $1.key }.map { "\($0.value)  \($0.key)\n" }.joined().utf8)
  }
}
