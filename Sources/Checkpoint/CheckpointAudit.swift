// The audit of checkpoints on disk: which there are, and whether their bytes are what was recorded. It shares nothing
// with `CheckpointStore`, which writes them and resumes from them.
import Foundation
import Shared

/// Looks at the folder of a run's checkpoints, and changes nothing.
public struct CheckpointAudit: Sendable {
  public enum Outcome: Equatable, Sendable {
    case whole
    /// There is no such folder (any more).
    case missing
    /// What is wrong, and with which file; an empty name stands for the folder.
    case damaged([Damage])
  }

  public struct Damage: Equatable, Sendable {
    public var file: String
    public var text: String
  }

  private let directory: String

  public init(_ directory: String) { self.directory = directory }

  /// The steps that have a folder of their own, whatever is in it.
  public func steps() -> Set<Int> {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return Set(
      names.compactMap { name in
        let digits = name.dropFirst(5)
        return name.hasPrefix("step-") && digits.count >= 8 && digits.allSatisfy(\.isASCII) ? Int(digits) : nil
      })
  }

  /// The step of the one that `best` links to.
  public func best() -> Int? {
    guard let name = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/best") else { return nil }
    return steps().first { self.name($0) == name }
  }

  /// `step-NNNNNNNN`.
  public func name(_ step: Int) -> String {
    "step-" + String(repeating: "0", count: max(0, 8 - String(step).count)) + String(step)
  }

  /// Compares every byte of a checkpoint with its manifest, and the manifest with what was recorded.
  /// - Parameters:
  ///   - manifestSha256: of the manifest.
  ///   - bytes: of the files, the manifest left out.
  public func examine(_ step: Int, manifestSha256: String, bytes: Int) -> Outcome {
    let path = "\(directory)/\(name(step))"
    guard Self.isFolder(path) else { return .missing }
    var damage: [Damage] = []
    do {
      var manifest = Data()
      _ = unsafe try Self.sha256("\(path)/MANIFEST.sha256") { unsafe manifest.append(contentsOf: $0) }
      if sha256Hex(manifest) != manifestSha256 {
        damage.append(Damage(file: "", text: "its MANIFEST.sha256 is not the journal's"))
      }
      guard let digests = Self.digests(manifest) else {
        return .damaged(damage + [Damage(file: "", text: "its MANIFEST.sha256 does not list its two files")])
      }
      var size = 0
      for (name, digest) in digests where unsafe try Self.sha256("\(path)/\(name)", { size += $0.count }) != digest {
        damage.append(Damage(file: name, text: "its SHA-256 is not the manifest's"))
      }
      if size != bytes { damage.append(Damage(file: "", text: "has \(size) bytes, expected \(bytes)")) }
    } catch {
      // A working coordinator may have pruned it in the meantime.
      guard Self.isFolder(path) else { return .missing }
      let file = (error as? CheckpointError).map { URL(fileURLWithPath: $0.path).lastPathComponent } ?? ""
      damage.append(Damage(file: file, text: "cannot be read"))
    }
    return damage.isEmpty ? .whole : .damaged(damage)
  }

  /// What is wrong with the state in a checkpoint that is whole, compared with the journal's digest of it.
  public func examineState(_ step: Int, digest: String) -> String? {
    let path = "\(directory)/\(name(step))"
    func contents(_ name: String) throws -> Data {
      try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))
    }
    // One that a working coordinator has pruned meanwhile was whole a moment ago.
    guard let model = try? contents("model.safetensors"), let trainer = try? contents("trainer.safetensors") else {
      return nil
    }
    guard let found = try? CheckpointFiles(model: model, trainer: trainer).stateDigest() else {
      return "is no state of a training"
    }
    return found.description == digest ? nil : "its state is not the one that the journal has"
  }

  /// The digests of the manifest's lines; nil where they are not those of a checkpoint.
  private static func digests(_ manifest: Data) -> [(name: String, digest: String)]? {
    let lines = String(decoding: manifest, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    let names = ["model.safetensors", "trainer.safetensors"]
    guard lines.count == names.count + 1, lines.last == "",
      zip(lines, names).allSatisfy({ $0.utf8.count == 66 + $1.utf8.count && $0.hasSuffix("  \($1)") })
    else { return nil }
    return zip(lines, names).map { ($1, String($0.prefix(64))) }
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  private static func sha256(_ path: String, _ body: (UnsafeRawBufferPointer) -> Void) throws -> String {
    var hash = SHA256Stream()
    unsafe try DiskFile.read(path).forEachPiece {
      unsafe hash.update($0)
      unsafe body($0)
    }
    return hash.finish()
  }
}
