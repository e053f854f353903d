// Writes one checkpoint, piece by piece, so that it is either whole and durable or not there at all.
import Foundation
import Shared

/// A checkpoint in the making: `append` until all bytes are there, then `commit`.
///
/// Everything goes into a temporary directory beside the finished checkpoints; an error removes it and leaves those as
/// they were. Not to be used by two threads at once.
public final class CheckpointWriter {
  private struct Part {
    let declared: CheckpointFile
    let file: DiskFile
    var written = 0
    var hash = SHA256Stream()
  }

  public let step: Int
  private let store: CheckpointStore
  private let temporary: String
  private var parts: [Part] = []
  private var isOpen = true

  init(store: CheckpointStore, step: Int, files: [CheckpointFile]) throws {
    self.store = store
    self.step = step
    temporary = "\(store.directory)/\(CheckpointStore.temporaryPrefix)\(CheckpointStore.name(ofStep: step))"
    guard step >= 0, files.map(\.name).sorted() == CheckpointFiles.names, files.allSatisfy({ $0.size >= 0 }) else {
      throw CheckpointError(
        badData: "a checkpoint of step \(step) was declared with other files than its two", path: temporary)
    }
    do {
      if try Directory.exists(temporary) { try Directory.remove(temporary) }
      try Directory.create(temporary)
      for file in files { parts.append(Part(declared: file, file: try DiskFile.create("\(temporary)/\(file.name)"))) }
    } catch {
      abandon()
      throw error
    }
  }

  deinit { abandon() }

  /// Adds bytes to a file, and returns the offset at which the next ones belong.
  ///
  /// Bytes that are there already are ignored, and bytes that would leave a gap are dropped: a sender whose piece was
  /// lost or repeated goes on from the offset returned.
  /// - Throws: `CheckpointError` if the file is unknown, grows past its declared size, or cannot be written; the
  ///   checkpoint is abandoned then.
  @discardableResult
  public func append(_ name: String, at offset: Int, _ bytes: Data) throws -> Int {
    try abandoningOnError {
      guard isOpen, let i = parts.firstIndex(where: { $0.declared.name == name }) else {
        throw CheckpointError(badData: "bytes for '\(name)', which is not being written", path: temporary)
      }
      let position = parts[i].written
      guard offset >= 0, offset <= parts[i].declared.size - bytes.count else {
        throw CheckpointError(
          badData: "bytes \(offset)..<\(offset + bytes.count) of a file of \(parts[i].declared.size)",
          path: "\(temporary)/\(name)")
      }
      guard offset <= position, position - offset < bytes.count else { return position }
      let new = bytes.dropFirst(position - offset)
      try parts[i].file.write(new)
      parts[i].hash.update(new)
      parts[i].written += new.count
      return parts[i].written
    }
  }

  /// Whether all declared bytes have been appended.
  public var isComplete: Bool { parts.allSatisfy { $0.written == $0.declared.size } }

  /// Makes the checkpoint durable, gives it its name, and reads it back.
  ///
  /// Call it when the journal durably holds every step up to this one. A valid checkpoint of this step with the same
  /// bytes is left alone; one that is damaged or cannot be read is replaced.
  /// - Throws: `CheckpointError` if bytes are missing or differ from what was declared, if the disk fails, or if a
  ///   valid checkpoint of this step holds another state. Older checkpoints are untouched.
  public func commit() throws -> StoredCheckpoint {
    try abandoningOnError {
      precondition(isOpen, "a checkpoint is committed once")
      let manifest = try checkedManifest()
      if let existing = try? store.verify(step) {
        guard existing.manifestDigest == sha256Hex(manifest.data) else {
          throw CheckpointError(
            badData:
              "already holds another state of step \(step); the run was not reproducible: run `coordinator audit`",
            path: existing.path)
        }
        // Whoever wrote it may have been killed before its name was durable.
        try Directory.sync(store.directory)
        abandon()
        return existing
      }
      try makeDurable(manifest)
      let replaced = try Directory.place(temporary, at: store.path(ofStep: step))
      isOpen = replaced
      do { try Directory.sync(store.directory) } catch {
        // Its name may not be durable, and a second fsync that succeeds would prove nothing.
        try? store.remove(step)
        throw error
      }
      let stored = try readBack()
      abandon()
      return stored
    }
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

  /// Gives up: closes the files and removes the temporary directory. Harmless when called twice or after `commit`.
  public func abandon() {
    guard isOpen else { return }
    isOpen = false
    parts = []
    // If it cannot be removed now, the next start does it; the cause was or will be reported by the write itself.
    try? Directory.remove(temporary)
  }

  private func checkedManifest() throws -> Manifest {
    for i in parts.indices {
      let path = "\(temporary)/\(parts[i].declared.name)"
      guard parts[i].written == parts[i].declared.size else {
        throw CheckpointError(
          badData: "\(parts[i].written) of \(parts[i].declared.size) bytes arrived; the checkpoint is dropped",
          path: path)
      }
      guard parts[i].hash.finish() == parts[i].declared.sha256 else {
        throw CheckpointError(
          badData: "the bytes that arrived are not those declared; the checkpoint is dropped", path: path)
      }
    }
    return Manifest(parts.map(\.declared))
  }

  private func makeDurable(_ manifest: Manifest) throws {
    let manifestFile = try DiskFile.create("\(temporary)/\(Manifest.name)")
    try manifestFile.write(manifest.data)
    for file in parts.map(\.file) + [manifestFile] {
      try file.sync()
      try file.closeFile()
    }
    try Directory.sync(temporary)
  }

  private func abandoningOnError<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch {
      abandon()
      throw error
    }
  }
}
