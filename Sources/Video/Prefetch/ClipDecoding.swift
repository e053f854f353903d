// Decodes a clip in the process and on the thread that ask for it: checks the file, chooses frames and crop, decodes,
// normalises.
import Shared

/// Decodes clips. Of other clips it knows only where their files can be entered; `ClipLoader` knows more.
struct ClipDecoding {
  /// The operation of an error about a file that is not as it was indexed.
  static let checking = "use"

  private let rules: VideoRules
  private let progress: DecodeProgress
  private let tables: EntryTables

  init(_ rules: VideoRules, _ progress: DecodeProgress, _ tables: EntryTables) {
    (self.rules, self.progress, self.tables) = (rules, progress, tables)
  }

  /// - Parameter dst: [T, S, S, 3] float32, normalised.
  /// - Returns: the file's frames, if they had to be counted.
  /// - Throws: `VideoError` without the clip's number.
  func load(_ job: ClipJob, into dst: UnsafeMutableBufferPointer<Float>) throws -> Int? {
    let source = try open(job)
    let (count, total) = try frameCount(job, source)
    unsafe try fill(dst, job, count, source)
    progress.moved()
    return total
  }

  /// Opens a clip's file or folder, which is as it was when it was indexed.
  private func open(_ job: ClipJob) throws(VideoError) -> any ClipFrames {
    let request = job.request
    if request.range == nil, ImageFolder.isFolder(request.path) {
      let folder = try ImageFolder(path: request.path, rules: rules, progress: progress)
      try checkUnchanged(job) { () throws(VideoError) in try folder.hash() }
      return folder
    }
    let file = try ClipFile(path: request.path, range: request.range)
    try checkUnchanged(job) { () throws(VideoError) in
      file.size == request.expectedBytes ? (file.size, try file.hash(progress)) : nil
    }
    return try video(file, request)
  }

  /// Opens a clip's file: of a long video, once its packets are known, only the part that the clip needs.
  private func video(_ file: ClipFile, _ request: ClipRequest) throws(VideoError) -> VideoFile {
    func open(_ window: EntryTable.Window?) throws(VideoError) -> VideoFile {
      try VideoFile(
        file, rules: rules, isProved: request.isProved, head: request.head, window: window, progress: progress)
    }
    let (end, overflow) = request.first.addingReportingOverflow(request.frames)
    guard request.isProved, !overflow, request.first >= 0, request.first < end else { return try open(nil) }
    let key = request.fileKey
    // Packets that are not where they were are looked for again.
    if let window = tables.table(of: key)?.window(for: request.first..<end), let video = try? open(window) {
      return video
    }
    let video = try open(nil)
    if let table = video.packets.table { tables.keep(table, of: key) }
    return video
  }

  private func fill(
    _ dst: UnsafeMutableBufferPointer<Float>, _ job: ClipJob, _ count: Int, _ source: any ClipFrames
  ) throws {
    let (request, form, epoch) = (job.request, job.form, job.epoch)
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

  /// The frames of the clip, which the index knows; otherwise those of the file are counted.
  private func frameCount(_ job: ClipJob, _ source: any ClipFrames) throws -> (clip: Int, total: Int?) {
    let request = job.request
    let isInRange = request.first >= 0 && !request.first.addingReportingOverflow(request.frames).overflow
    if request.frames > 0, isInRange { return (request.frames, nil) }
    let total = try job.total ?? source.frameCount()
    guard isInRange, request.first < total else {
      throw VideoError(path: request.path, operation: "decode", cause: "frame \(request.first) does not exist")
    }
    return (total - request.first, total)
  }

  /// Compares size and hash with the index's.
  /// - Parameter read: gives them; nil if the size alone differs.
  private func checkUnchanged(
    _ job: ClipJob, _ read: () throws(VideoError) -> (bytes: UInt64, hash: Digest128)?
  ) throws(VideoError) {
    let request = job.request
    guard job.checks else { return }
    guard let (bytes, hash) = try read(), bytes == request.expectedBytes, hash == request.expectedHash else {
      throw VideoError(
        path: request.path, operation: Self.checking,
        cause: "changed since it was indexed (run 'coordinator index' again)")
    }
  }
}
