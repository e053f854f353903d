// Loads clips, in this process or in others, and knows which files were checked before.
import Glibc
import Shared
import Synchronization

/// Loads clips. Any number of threads may share one loader.
public final class ClipLoader: Sendable {
  private struct Known {
    /// The files whose size and hash were checked.
    var checked: Set<UInt64> = []
    /// The frame counts that needed a full decode.
    var counts: [UInt64: Int] = [:]
  }
  private let known = Mutex(Known())
  private let rules: VideoRules
  private let decoders: DecodingPool?
  /// Where long files can be entered, where this process decodes itself.
  private let tables = EntryTables()
  /// Grows while any clip is being loaded.
  public let progress = DecodeProgress()

  /// - Parameter decoders: the processes that decode; nil to decode on the calling thread, where a decoder that crashes
  ///   ends the process.
  public init(rules: VideoRules = VideoRules(), decoders: DecodingPool? = nil) {
    self.rules = rules
    self.decoders = decoders
  }

  /// Storage that clips can be loaded into without being copied.
  static func storage(count: Int, for decoders: DecodingPool?) -> FloatStorage {
    decoders == nil ? FloatStorage(count: count) : FloatStorage.shared(count: count)
  }

  /// Storage that this loader writes without a copy.
  public func storage(count: Int) -> FloatStorage { Self.storage(count: count, for: decoders) }

  /// Loads one clip. The result depends only on the file, `form`, `epoch` and the request.
  /// - Parameters:
  ///   - storage: from `start` on it gets [T, S, S, 3] float32, normalised with mean 0.485 0.456 0.406 and deviation
  ///     0.229 0.224 0.225.
  ///   - tries: how often to try a clip that cannot be loaded.
  /// - Throws: `VideoError` naming file and clip if it cannot be decoded, or has changed since it was indexed.
  public func load(
    _ request: ClipRequest, _ form: ClipForm, epoch: Int, into storage: FloatStorage, at start: Int = 0,
    tries: Int = 1
  ) throws {
    precondition(
      start >= 0 && start + form.clipElements <= storage.count,
      "a clip of \(form.clipElements) numbers at \(start) of \(storage.count)")
    let key = request.fileKey
    let job = known.withLock { known in
      ClipJob(
        request: request, form: form, epoch: epoch,
        checks: request.expectedBytes > 0 && !known.checked.contains(key), total: known.counts[key])
    }
    do {
      let total = try decode(job, into: storage, at: start, tries: tries)
      known.withLock { known in
        if job.checks { known.checked.insert(key) }
        if let total { known.counts[key] = total }
      }
    } catch var error as VideoError {
      error.clip = request.clip
      throw error
    }
  }

  private func decode(_ job: ClipJob, into storage: FloatStorage, at start: Int, tries: Int) throws -> Int? {
    if let decoders { return try decoders.load(job, rules, tries: tries, progress, into: storage, at: start) }
    let dst = unsafe UnsafeMutableBufferPointer(
      rebasing: storage.buffer[start..<start + job.form.clipElements])
    for _ in 1..<max(1, tries) {
      do { return unsafe try ClipDecoding(rules, progress, tables).load(job, into: dst) } catch {}
    }
    return unsafe try ClipDecoding(rules, progress, tables).load(job, into: dst)
  }
}
