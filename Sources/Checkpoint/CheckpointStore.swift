// The directory of a run's checkpoints: finding, verifying and pruning them. Writing is `CheckpointWriter`'s.
import Foundation
import Shared
import Synchronization

/// The checkpoints below one directory, `step-NNNNNNNN` each.
///
/// One process writes at a time (the run's lock sees to it); any number may read.
public final class CheckpointStore: Sendable {
  public enum Access: Sendable {
    /// For looking on: changes nothing.
    case reading
    /// For the run's owner: the directory is made if missing, and what an interrupted write left is removed.
    case writing
  }

  /// A checkpoint that was passed over.
  public struct Rejected: Hashable, Sendable {
    public let name: String
    public let reason: String
  }

  /// The outcome of looking for the newest valid checkpoint.
  public struct Search: Sendable {
    /// Verified; nil if there is none.
    public let newest: StoredCheckpoint?
    /// The newer ones that are not valid, newest first.
    public let rejected: [Rejected]
    /// Those among them that are whole, but hold another state than the journal says.
    public var strange: [Int] = []
  }

  public let directory: String
  /// Steps whose files this process has read back and found right, and what files they were.
  private let verified = Mutex<[Int: [String: FileState]]>([:])

  /// - Throws: `CheckpointError` if the directory cannot be made, read or tidied.
  public init(_ directory: String, access: Access) throws {
    self.directory = directory
    guard access == .writing else { return }
    try Directory.create(directory)
    for name in try Directory.names(directory) where name.hasPrefix(Self.temporaryPrefix) {
      try Directory.remove("\(directory)/\(name)")
    }
  }

  /// The steps of which there is a checkpoint, ascending; nothing is verified.
  /// - Throws: `CheckpointError` if the directory cannot be read.
  public func list() throws -> [Int] {
    guard try Directory.exists(directory) else { return [] }
    return try Directory.names(directory).compactMap(Self.step(ofName:)).sorted()
  }

  /// Reads every byte of a checkpoint and compares it with the manifest, and its step with its name.
  /// - Throws: `CheckpointError`, bad data that says which file differs, or the failure to read it.
  public func verify(_ step: Int) throws -> StoredCheckpoint {
    var states: [String: FileState] = [:]
    var bytes = 0
    let (path, manifest) = try self.manifest(of: step)
    for name in CheckpointFiles.names {
      let file = try DiskFile.read("\(path)/\(name)")
      states[name] = file.state
      var hash = SHA256Stream()
      var head = Data()
      unsafe try file.forEachPiece { piece in
        unsafe hash.update(piece)
        bytes += piece.count
        if name == CheckpointFiles.trainerName, head.count < TrainerHeader.limit {
          unsafe head.append(contentsOf: piece)
        }
      }
      try check(hash.finish(), manifest.digests[name], "\(path)/\(name)")
      if name == CheckpointFiles.trainerName { try checkStep(step, head, "\(path)/\(name)") }
    }
    verified.withLock { $0[step] = states }
    return StoredCheckpoint(step: step, path: path, manifestDigest: sha256Hex(manifest.data), bytes: bytes)
  }

  /// The files of a checkpoint, verified as they are read.
  /// - Throws: as `verify`.
  public func read(_ step: Int) throws -> CheckpointFiles {
    // A file that has grown must not be read whole: how long the files are is known from verifying them.
    if verified.withLock({ $0[step] == nil }) { _ = try verify(step) }
    let states = verified.withLock { $0[step] ?? [:] }
    let (path, manifest) = try self.manifest(of: step)
    func contents(_ name: String) throws -> Data {
      let data = try DiskFile.read("\(path)/\(name)").start((states[name]?.size ?? 0) + 1)
      try check(sha256Hex(data), manifest.digests[name], "\(path)/\(name)")
      return data
    }
    let files = try CheckpointFiles(
      model: contents(CheckpointFiles.modelName), trainer: contents(CheckpointFiles.trainerName))
    try checkStep(step, files.trainer, "\(path)/\(CheckpointFiles.trainerName)")
    return files
  }

  /// Looks from the newest checkpoint downward for one that is whole and holds the run's state.
  /// - Parameter journaled: the digest of the state before a step, where it is known.
  /// - Throws: `CheckpointError` if the directory itself cannot be read, and what `journaled` throws.
  public func newestValid(journaled: (Int) throws -> Digest128? = { _ in nil }) throws -> Search {
    var rejected: [Rejected] = []
    var strange: [Int] = []
    for step in try list().reversed() {
      let expected = try journaled(step)
      do {
        let stored = try verify(step)
        guard let expected, try read(step).stateDigest() != expected else {
          return Search(newest: stored, rejected: rejected, strange: strange)
        }
        strange.append(step)
        rejected.append(
          Rejected(name: Self.name(ofStep: step), reason: "its state is not the one that the journal has"))
      } catch { rejected.append(Rejected(name: Self.name(ofStep: step), reason: "\(error)")) }
    }
    return Search(newest: nil, rejected: rejected, strange: strange)
  }

  /// Gives a checkpoint another name, under which it is kept and never found, so that the run can write its own.
  /// - Returns: that name.
  /// - Throws: `CheckpointError` if it cannot be renamed.
  @discardableResult
  public func setAside(_ step: Int) throws -> String {
    let name = "rejected-\(Self.name(ofStep: step))"
    verified.withLock { _ = $0.removeValue(forKey: step) }
    if try Directory.exists("\(directory)/\(name)") { try Directory.remove("\(directory)/\(name)") }
    try Directory.rename(path(ofStep: step), to: "\(directory)/\(name)")
    try Directory.sync(directory)
    return name
  }

  /// Writes a checkpoint whose bytes are at hand; one that exists with the same bytes is left alone.
  /// - Throws: as `CheckpointWriter.write`.
  @discardableResult
  public func write(_ step: Int, _ files: CheckpointFiles) throws -> StoredCheckpoint {
    try CheckpointWriter(store: self, step: step).write(files)
  }

  /// Removes all checkpoints older than the newest `count` valid ones, but for those of `spared` steps, and returns
  /// their steps.
  ///
  /// Damaged ones among the newest do not count and are left for inspection.
  /// - Throws: `CheckpointError` if one cannot be removed.
  @discardableResult
  public func prune(keep count: Int, sparing spared: Set<Int> = []) throws -> [Int] {
    precondition(count >= 1, "pruning to \(count) checkpoints")
    let steps = try list()
    var valid = 0
    var oldestKept = 0
    for step in steps.reversed() where valid < count && isValid(step) {
      valid += 1
      oldestKept = step
    }
    guard valid == count else { return [] }
    let old = steps.filter { $0 < oldestKept && !spared.contains($0) }
    // After a power cut the names of those that are kept must be there if the others are gone.
    if !old.isEmpty { try Directory.sync(directory) }
    for step in old { try remove(step) }
    return old
  }

  /// Renamed first, so that a crash while removing leaves no half checkpoint under a good name.
  func remove(_ step: Int) throws {
    let doomed = "\(directory)/\(Self.temporaryPrefix)old-\(Self.name(ofStep: step))"
    verified.withLock { _ = $0.removeValue(forKey: step) }
    // One that could not be removed wholly before.
    if try Directory.exists(doomed) { try Directory.remove(doomed) }
    try Directory.rename(path(ofStep: step), to: doomed)
    try Directory.remove(doomed)
  }

  /// Reads what this process has not read, or what was rewritten since.
  private func isValid(_ step: Int) -> Bool {
    guard let states = verified.withLock({ $0[step] }), (try? manifest(of: step)) != nil,
      states.allSatisfy({ name, state in (try? FileState("\(path(ofStep: step))/\(name)")) == state })
    else { return (try? verify(step)) != nil }
    return true
  }

  /// The manifest of a checkpoint and the directory that it is in.
  private func manifest(of step: Int) throws -> (path: String, manifest: Manifest) {
    let path = path(ofStep: step)
    let manifestPath = "\(path)/\(Manifest.name)"
    return (path, try Manifest(DiskFile.read(manifestPath).start(Manifest.limit + 1), path: manifestPath))
  }

  private func check(_ actual: String, _ expected: String?, _ path: String) throws {
    guard actual == expected else {
      throw CheckpointError(
        badData: "is damaged: its SHA-256 is not the manifest's; use an older checkpoint", path: path)
    }
  }

  /// A whole copy of another step's checkpoint under this step's name is none of this step.
  private func checkStep(_ step: Int, _ trainer: Data, _ path: String) throws {
    let actual = try TrainerHeader.step(in: trainer, path: path)
    guard actual == step else {
      throw CheckpointError(
        badData: "is of step \(actual), but its directory is named after step \(step); use another checkpoint",
        path: path)
    }
  }
}

extension CheckpointStore {
  static let temporaryPrefix = ".tmp-"

  func path(ofStep step: Int) -> String { "\(directory)/\(Self.name(ofStep: step))" }

  /// `step-NNNNNNNN`, at least eight digits.
  public static func name(ofStep step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  static func step(ofName name: String) -> Int? {
    guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), self.name(ofStep: step) == name else {
      return nil
    }
    return step
  }
}
