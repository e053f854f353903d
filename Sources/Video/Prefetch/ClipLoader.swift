// Loads a clip: checks the file, chooses frames and crop, decodes, normalises.
import Shared
import Synchronization

/// Loads clips. Any number of threads may share one loader.
public final class ClipLoader: Sendable {
  /// What is one file to the loader: the same shard holds many.
  private struct Source: Hashable {
    var path: String
    var start: UInt64
  }
  private struct Known {
    /// The files whose size and hash were checked.
    var checked: Set<Source> = []
    /// The frame counts that needed a full decode.
    var counts: [Source: Int] = [:]
  }
  private let known = Mutex(Known())
  private let rules: VideoRules
  private let resolve: ClipResolver
  /// Grows while any clip is being loaded.
  public let progress = DecodeProgress()

  /// - Parameter resolve: gets the files that are not on this host.
  public init(rules: VideoRules = VideoRules(), resolve: @escaping ClipResolver = { _, _ in nil }) {
    self.rules = rules
    self.resolve = resolve
  }

  /// Loads one clip. The result depends only on the file, `form`, `epoch` and the request.
  /// - Parameter dst: [T, S, S, 3] float32, normalised with mean 0.485 0.456 0.406 and deviation 0.229 0.224 0.225.
  /// - Throws: `VideoError` naming file and clip if it cannot be decoded, or has changed since it was indexed.
  public func load(
    _ request: ClipRequest, _ form: ClipForm, epoch: Int, into dst: UnsafeMutableBufferPointer<Float>
  ) throws {
    precondition(dst.count == form.clipElements, "a clip of \(form.clipElements) numbers, not \(dst.count)")
    var local: LocalClip?
    defer { withExtendedLifetime(local) {} }
    do {
      local = try resolve(request, progress)
      let source = try open(request, local)
      unsafe try fill(dst, request, form, epoch, source)
      progress.moved()
    } catch var error as VideoError {
      if let local { error = error.renamed(local.shown) }
      error.clip = request.clip
      throw error
    }
  }

  /// Opens a clip's file or folder, which is as it was when it was indexed.
  private func open(_ request: ClipRequest, _ local: LocalClip?) throws(VideoError) -> any ClipFrames {
    if let local {
      let file = try ClipFile(path: local.path, range: local.range)
      do throws(VideoError) {
        try checkUnchanged(request, local.identity ?? "") { () throws(VideoError) in
          file.size == request.expectedBytes ? (file.size, try file.hash(progress)) : nil
        }
      } catch {
        if error.status == .badData { local.reject() }
        throw error
      }
      return try VideoFile(file, rules: rules, isProved: request.isProved, progress: progress)
    }
    if request.range == nil, ImageFolder.isFolder(request.path) {
      let folder = try ImageFolder(path: request.path, rules: rules, progress: progress)
      try checkUnchanged(request, request.path) { () throws(VideoError) in try folder.hash() }
      return folder
    }
    let file = try ClipFile(path: request.path, range: request.range)
    try checkUnchanged(request, request.path) { () throws(VideoError) in
      file.size == request.expectedBytes ? (file.size, try file.hash(progress)) : nil
    }
    return try VideoFile(file, rules: rules, isProved: request.isProved, progress: progress)
  }

  private func fill(
    _ dst: UnsafeMutableBufferPointer<Float>, _ request: ClipRequest, _ form: ClipForm, _ epoch: Int,
    _ source: any ClipFrames
  ) throws {
    let count = try frameCount(request, source)
    let frames = FrameSampling.frames(form, count: count, epoch: epoch, clip: request.clip).map { $0 + request.first }
    let converter = FrameConverter(size: form.size, path: request.path)
    let picture = form.size * form.size * 3
    let turned = source.orientation.isTransposed
    try source.decode(frames) { position, frame in
      // For each frame, since the size may change within a video. The draw is the same.
      let plan = Augmentation.plan(
        form, width: turned ? frame.height : frame.width, height: turned ? frame.width : frame.height, epoch: epoch,
        clip: request.clip)
      for place in frames.indices where frames[place] == position {
        let slice = unsafe UnsafeMutableBufferPointer(rebasing: dst[place * picture..<(place + 1) * picture])
        unsafe try converter.write(frame, plan, source.orientation, to: slice)
      }
    }
  }

  /// The frames of the clip, which the index knows; otherwise they are counted once.
  private func frameCount(_ request: ClipRequest, _ source: any ClipFrames) throws -> Int {
    let isInRange = request.first >= 0 && !request.first.addingReportingOverflow(request.frames).overflow
    if request.frames > 0, isInRange { return request.frames }
    let key = Source(path: request.path, start: request.range?.lowerBound ?? 0)
    let total = try known.withLock { $0.counts[key] } ?? source.frameCount()
    known.withLock { $0.counts[key] = total }
    guard isInRange, request.first < total else {
      throw VideoError(path: request.path, operation: "decode", cause: "frame \(request.first) does not exist")
    }
    return total - request.first
  }

  /// Compares size and hash with the index's, once per file and process.
  /// - Parameters:
  ///   - identity: of the file; empty for one that is read once.
  ///   - read: gives them; nil if the size alone differs.
  private func checkUnchanged(
    _ request: ClipRequest, _ identity: String, _ read: () throws(VideoError) -> (bytes: UInt64, hash: Digest128)?
  ) throws(VideoError) {
    let key = Source(path: identity, start: request.range?.lowerBound ?? 0)
    guard request.expectedBytes > 0, known.withLock({ !$0.checked.contains(key) }) else { return }
    guard let (bytes, hash) = try read(), bytes == request.expectedBytes, hash == request.expectedHash else {
      throw VideoError(
        path: request.path, operation: "use", cause: "changed since it was indexed (run 'coordinator index' again)")
    }
    if !identity.isEmpty { known.withLock { _ = $0.checked.insert(key) } }
  }
}
