// Loads a clip: checks the file, chooses frames and crop, decodes, normalises.
import Shared
import Synchronization

/// Loads clips. Any number of threads may share one loader.
public final class ClipLoader: Sendable {
  private struct Known {
    /// The files whose size and hash were checked.
    var checked: Set<String> = []
    /// The frame counts that needed a full decode.
    var counts: [String: Int] = [:]
  }
  private let known = Mutex(Known())
  /// Grows while any clip is being loaded.
  public let progress = DecodeProgress()

  public init() {}

  /// Loads one clip. The result depends only on the file, `form`, `epoch` and `request.clip`.
  /// - Parameter dst: [T, S, S, 3] float32, normalised with mean 0.485 0.456 0.406 and deviation 0.229 0.224 0.225.
  /// - Throws: `VideoError` naming file and clip if it cannot be decoded, or has changed since it was indexed.
  public func load(
    _ request: ClipRequest, _ form: ClipForm, epoch: Int, into dst: UnsafeMutableBufferPointer<Float>
  ) throws {
    precondition(dst.count == form.clipElements, "a clip of \(form.clipElements) numbers, not \(dst.count)")
    do {
      try checkUnchanged(request)
      let video = try VideoFile(
        path: request.path, decodedCount: known.withLock { $0.counts[request.path] }, progress: progress)
      // Runs at most twice: again if the timestamps turn out to be wrong.
      while unsafe try !fill(dst, request, form, epoch, video) {}
      progress.moved()
    } catch var error as VideoError {
      error.clip = request.clip
      throw error
    }
  }

  /// - Returns: false if the frames must be chosen again.
  private func fill(
    _ dst: UnsafeMutableBufferPointer<Float>, _ request: ClipRequest, _ form: ClipForm, _ epoch: Int,
    _ video: VideoFile
  ) throws -> Bool {
    let count = try video.frameCount()
    if !video.isExact { known.withLock { $0.counts[request.path] = count } }
    let frames = FrameSampling.frames(form, count: count, epoch: epoch, clip: request.clip)
    let converter = FrameConverter(size: form.size, path: request.path)
    let picture = form.size * form.size * 3
    let outcome = try video.decode(frames) { position, frame in
      let turned = video.orientation.isTransposed
      // For each frame, since the size may change within a video. The draw is the same.
      let plan = Augmentation.plan(
        form, width: turned ? frame.height : frame.width, height: turned ? frame.width : frame.height, epoch: epoch,
        clip: request.clip)
      for place in frames.indices where frames[place] == position {
        let slice = unsafe UnsafeMutableBufferPointer(rebasing: dst[place * picture..<(place + 1) * picture])
        unsafe try converter.write(frame, plan, video.orientation, to: slice)
      }
    }
    return outcome == .complete
  }

  /// Compares size and hash with the index's, once per file and process.
  private func checkUnchanged(_ request: ClipRequest) throws {
    guard request.expectedBytes > 0, known.withLock({ !$0.checked.contains(request.path) }) else { return }
    guard try FileFacts.size(request.path) == request.expectedBytes,
      try FileFacts.hash(request.path, progress).hash == request.expectedHash
    else {
      throw VideoError(
        path: request.path, operation: "use", cause: "changed since it was indexed (run 'coordinator index' again)")
    }
    known.withLock { _ = $0.checked.insert(request.path) }
  }
}
