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
  private let decoders: DecodingPool
  private let resolve: ClipResolver
  /// Grows while any clip is being loaded.
  public let progress = DecodeProgress()

  /// - Parameters:
  ///   - resolve: gets the files that are not on this host.
  public init(
    rules: VideoRules = VideoRules(), decoders: DecodingPool = .inThisProcess(),
    resolve: @escaping ClipResolver = { _, _ in nil }
  ) {
    self.rules = rules
    self.decoders = decoders
    self.resolve = resolve
  }

  /// Storage that this loader writes without a copy.
  public func storage(count: Int) -> FloatStorage { decoders.storage(count: count) }

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
    var job = ClipJob(request: request, form: form, epoch: epoch, checks: true, total: nil)
    var local: LocalClip?
    defer { withExtendedLifetime(local) {} }
    do {
      local = try resolve(request, progress)
      if let local { (job.request.path, job.request.range) = (local.path, local.range) }
      try load(job, local, into: storage, at: start, tries: tries)
      let clip = unsafe UnsafeMutableBufferPointer(rebasing: storage.buffer[start..<start + form.clipElements])
      unsafe PixelChanges(form, epoch: epoch, clip: request.clip).apply(to: clip, size: form.size)
    } catch var error as VideoError {
      if let local {
        if error.operation == ClipDecoding.checking { local.reject() }
        error = error.renamed(local.shown)
      }
      error.clip = request.clip
      throw error
    }
  }

  private func load(
    _ job: ClipJob, _ local: LocalClip?, into storage: FloatStorage, at start: Int, tries: Int
  ) throws {
    var job = job
    let version = { [request = job.request] in local.map { $0.version } ?? FileVersion(request) }
    let before = version()
    known.withLock { known in
      job.checks = job.request.expectedBytes > 0 && before.map { !known.checked.contains($0.key) } ?? true
      job.total = before.flatMap { known.counts[$0.key] }
    }
    var total = try decoders.load(job, rules, tries: tries, progress, into: storage, at: start)
    if !job.checks, job.request.expectedBytes > 0, version() != before {
      // What was read may not be what was checked.
      (job.checks, job.total) = (true, nil)
      total = try decoders.load(job, rules, tries: tries, progress, into: storage, at: start)
    }
    guard let before, version() == before else { return }
    known.withLock { known in
      if job.checks { known.checked.insert(before.key) }
      if let total { known.counts[before.key] = total }
    }
  }
}

/// A file as it is at the moment: another one under the same name, or one that was written to, is another version.
struct FileVersion: Equatable {
  let key: UInt64

  /// - Parameters:
  ///   - identity: tells the file and what is in it.
  ///   - start: the clip's first byte in a shard.
  init(_ identity: String, start: UInt64) {
    let digest = Digest128Stream()
    var (start, identity) = (start, identity)
    unsafe withUnsafeBytes(of: &start) { unsafe digest.update($0) }
    identity.withUTF8 { unsafe digest.update(UnsafeRawBufferPointer($0)) }
    // A digest, since there may be millions.
    key = digest.finish().low
  }

  /// - Returns: nil if the file cannot be asked.
  init?(_ request: ClipRequest) {
    var facts = stat()
    guard FileWait.during({ unsafe stat(request.path, &facts) }) == 0 else { return nil }
    let (written, changed) = (facts.st_mtim, facts.st_ctim)
    self.init(
      "\(facts.st_dev) \(facts.st_ino) \(facts.st_size) \(written.tv_sec) \(written.tv_nsec) \(changed.tv_sec) "
        + "\(changed.tv_nsec) \(request.path)",
      start: request.range?.lowerBound ?? 0)
  }
}
