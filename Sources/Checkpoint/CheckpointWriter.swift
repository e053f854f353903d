// Writes one checkpoint, so that it is either whole and durable or not there at all.
import Foundation
import Shared

/// A checkpoint in the making.
///
/// Everything goes into a temporary directory beside the finished checkpoints; an error removes it and leaves those as
/// they were.
struct CheckpointWriter {
  let store: CheckpointStore
  let step: Int

  private var temporary: String {
    "\(store.directory)/\(CheckpointStore.temporaryPrefix)\(CheckpointStore.name(ofStep: step))"
  }

  /// Makes the checkpoint durable, gives it its name, and reads it back.
  ///
  /// Call it when the journal durably holds every step up to this one. A valid checkpoint of this step with the same
  /// bytes is left alone; one that is damaged or cannot be read is replaced.
  /// - Throws: `CheckpointError` if the disk fails, or if a valid checkpoint of this step holds another state. Older
  ///   checkpoints are untouched.
  func write(_ files: CheckpointFiles) throws -> StoredCheckpoint {
    guard step >= 0 else { throw CheckpointError(badData: "there is no checkpoint of step \(step)", path: temporary) }
    var isLeft = true
    // If it cannot be removed now, the next start does it; the cause was or will be reported by the write itself.
    defer { if isLeft { try? Directory.remove(temporary) } }
    if try Directory.exists(temporary) { try Directory.remove(temporary) }
    try Directory.create(temporary)
    let manifest = Manifest(files)
    let parts = try [
      create(CheckpointFiles.modelName, files.model), create(CheckpointFiles.trainerName, files.trainer),
    ]
    if let existing = try? store.verify(step) {
      guard existing.manifestDigest == sha256Hex(manifest.data) else {
        throw CheckpointError(
          badData: "already holds another state of step \(step); the run was not reproducible: run `coordinator audit`",
          path: existing.path)
      }
      // The writer may have been killed before the name was durable.
      try Directory.sync(store.directory)
      return existing
    }
    try makeDurable(parts, manifest)
    isLeft = try Directory.place(temporary, at: store.path(ofStep: step))
    do { try Directory.sync(store.directory) } catch {
      // Its name may not be durable, and a second fsync that succeeds would prove nothing.
      try? store.remove(step)
      throw error
    }
    return try readBack()
  }

  /// Verifies the checkpoint that has its name now.
  private func readBack() throws -> StoredCheckpoint {
    do { return try store.verify(step) } catch let error as CheckpointError where error.status == .badData {
      // What was written is not what is read: it must not be found as the newest one. One that merely cannot be read
      // at this moment stays: it is durable, and it is verified again before anybody uses it.
      try? store.remove(step)
      throw error
    }
  }

  private func create(_ name: String, _ contents: Data) throws -> DiskFile {
    let file = try DiskFile.create("\(temporary)/\(name)")
    try file.write(contents)
    return file
  }

  private func makeDurable(_ parts: [DiskFile], _ manifest: Manifest) throws {
    for file in try parts + [create(Manifest.name, manifest.data)] {
      try file.sync()
      try file.closeFile()
    }
    try Directory.sync(temporary)
  }
}
