// Probes the files of a list's rows on all cores, each file once, and none that did not change since it was probed.
import Dataset
import Foundation
import Glibc
import Shared
import Video

/// The files of one list, being indexed.
///
/// Sendable because the lock guards everything that changes.
final class FileIndexing: @unchecked Sendable {
  struct Progress: Sendable {
    var done = 0
    var total = 0
    var rejected = 0
    /// Clips whose file is as it was when it was last probed.
    var unchanged = 0
  }

  struct Settings: Sendable {
    var deep = false
    var threads = max(1, 2 * ProcessInfo.processInfo.activeProcessorCount)
    /// Between tries of a file that cannot be read for a passing reason: a minute in all.
    var waits: [Duration] = [
      .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(30),
    ]
    /// Probes a file, or the part of a shard.
    var probe: @Sendable (_ path: String, _ range: Range<UInt64>?, _ deep: Bool) throws -> ProbedVideo
    /// What tells whether a file changed; nil if it cannot be asked, and `errno` says why.
    var stamp: @Sendable (_ path: String) -> FileStamp? = { FileStamp(of: $0) }
    /// Reads all of a file.
    var contents: @Sendable (_ path: String, _ range: Range<UInt64>?) -> PassingErrors.Contents = PassingErrors.contents
    var progress: @Sendable (Progress) -> Void = { _ in }
    /// Shows a line to the user.
    var say: @Sendable (String) -> Void = { _ in }
  }

  /// What takes the results.
  struct Output {
    var index: ClipIndexWriter
    var rejected: RejectedListWriter
    var files: ProbedFiles.Writer
  }

  private let data: String
  private let videos: String
  private let rows: IndexRows
  private let known: [ProbedFiles]
  private let settings: Settings
  private let output: Output
  /// The videos folder when the work began.
  private let folder: FolderIdentity?

  private let lock = NSLock()
  private var said: ContinuousClock.Instant?
  private var next = 0
  private var progress: Progress
  private var failure: (any Error)?

  /// - Parameters:
  ///   - data: the data folder.
  ///   - videos: the list's videos folder in it.
  ///   - known: what earlier indexing found, the newest first.
  ///   - rejected: rows that are rejected already.
  init(
    _ data: String, _ videos: String, rows: consuming IndexRows, known: [ProbedFiles], rejected: Int,
    _ settings: Settings,
    _ output: Output
  ) {
    self.data = data
    self.videos = videos
    self.rows = rows
    self.known = known
    self.settings = settings
    self.output = output
    folder = FolderIdentity(folderPath(data: data, videos))
    progress = Progress(done: rejected, total: rows.count + rejected, rejected: rejected)
  }

  /// Works until every row has a result.
  /// - Throws: `SharedError(.ioError)` naming a file that cannot be read for a passing reason; `DatasetError` where the
  ///   results cannot be written.
  func run() throws {
    let group = DispatchGroup()
    for number in 0..<max(1, min(settings.threads, rows.count)) {
      group.enter()
      startThread(named: "index \(number)") { [self] in
        work()
        group.leave()
      }
    }
    group.wait()
    if let failure { throw failure }
    settings.progress(progress)
  }

  private func work() {
    while let group = takeGroup() {
      do { try index(group) } catch { lock.withLock { failure = failure ?? error } }
    }
  }

  /// Rows of a file that are worked on together: more would take much memory. A file with more rows is probed again.
  private static let mostRows = 1 << 16

  /// The numbers of the next file's rows; nil if there is none, or the work is given up.
  private func takeGroup() -> ArraySlice<UInt32>? {
    lock.withLock {
      guard failure == nil, next < rows.count else { return nil }
      let start = next
      let first = rows.row(Int(rows.order[start]))
      repeat {
        next += 1
      } while next < rows.count && next - start < Self.mostRows
        && first.isOfSameFile(as: rows.row(Int(rows.order[next])))
      return rows.order[start..<next]
    }
  }

  private func index(_ group: ArraySlice<UInt32>) throws {
    // Many rows may share the file.
    let group = group.lazy.map { [rows] in rows.row(Int($0)) }
    let file = group[group.startIndex]
    let path = clipPath(data: data, videos: videos, path: file.path)
    var parts: [ClipPart] = []
    var places: [ClipPart: Int] = [:]
    for row in group where places[row.part] == nil {
      places[row.part] = parts.count
      parts.append(row.part)
    }
    let key = path + "\n" + (file.range.map { "\($0.lowerBound)" } ?? "") + "\n"
    let (found, unchanged) = try examine(path, file.range, parts, key: key)
    try lock.withLock {
      for (part, probed) in zip(parts, found) where probed.stamp.modified != 0 {
        try output.files.add(key + part.key, probed)
      }
      for row in group {
        guard let place = places[row.part] else { continue }
        try add(row, found[place])
      }
      if unchanged { progress.unchanged += group.count }
    }
    settings.progress(lock.withLock { progress })
  }

  private func add(_ row: IndexRow, _ probed: ProbedPart) throws {
    progress.done += 1
    switch probed.outcome {
    case .usable:
      var clip = probed.clip
      clip.id = row.id
      clip.path = row.path
      clip.labels = row.labels
      try output.index.add(clip)
    case .rejected(let reason):
      progress.rejected += 1
      try output.rejected.add(RejectedClip(id: row.id, path: row.path, reason: reason))
    }
  }

  // MARK: One file

  /// - Returns: what is found of each part, and whether that was known before.
  private func examine(
    _ path: String, _ range: Range<UInt64>?, _ parts: [ClipPart], key: String
  ) throws -> ([ProbedPart], unchanged: Bool) {
    let (asked, code) = try stamp(path)
    guard let stamp = asked else {
      // Its times are unknown, so nothing is kept about it.
      let none = FileStamp(bytes: 0, modified: 0, changed: 0)
      let reason = "'\(shownPath(path))': cannot be opened (\(Self.text(code)))"
      return (parts.map { _ in ProbedPart.rejected(reason, hash: nil, stamp: none, isDeep: settings.deep) }, false)
    }
    let earlier = parts.map { part in known.lazy.compactMap { $0.part(key + part.key) }.first }
    let still = earlier.compactMap { $0 }.filter { $0.holds(for: stamp, deep: settings.deep) }
    if still.count == parts.count { return (still.map { $0.seen(stamp) }, true) }
    if let same = try unchanged(path, range, earlier, stamp) { return (same, true) }
    return (try probe(path, range, parts, stamp), false)
  }

  /// The size and times of a file, or why it cannot be asked.
  private func stamp(_ path: String) throws -> (FileStamp?, code: Int32) {
    var tries = 0
    while true {
      errno = 0
      if let stamp = settings.stamp(path) { return (stamp, 0) }
      var code = errno
      // Where a mount dropped, its files are not missing.
      if code == ENOENT || code == ENOTDIR, FolderIdentity(folderPath(data: data, videos)) != folder { code = ESTALE }
      guard PassingErrors.codes.contains(code) else { return (nil, code) }
      try wait(path, code, &tries)
    }
  }

  /// What was known of a file whose times changed, if its contents did not.
  private func unchanged(
    _ path: String, _ range: Range<UInt64>?, _ earlier: [ProbedPart?], _ stamp: FileStamp
  ) throws -> [ProbedPart]? {
    let kept = earlier.compactMap { $0 }.filter { ($0.isDeep || !settings.deep) && $0.clip.bytes > 0 }
    let none = Digest128(high: 0, low: 0)
    guard kept.count == earlier.count, let hash = kept.first?.clip.hash, hash != none,
      kept.allSatisfy({ $0.clip.hash == hash }), range != nil || kept.allSatisfy({ $0.stamp.bytes == stamp.bytes }),
      case .digest(hash) = try readable(path, range)
    else { return nil }
    return kept.map { $0.seen(stamp) }
  }

  private func probe(
    _ path: String, _ range: Range<UInt64>?, _ parts: [ClipPart], _ stamp: FileStamp
  ) throws -> [ProbedPart] {
    var again = 2
    while true {
      do {
        let video = try settings.probe(path, range, settings.deep)
        return parts.map { part(path, range, $0, video, stamp) }
      } catch {
        // A file that can be read has itself to blame, unless what failed has passed meanwhile.
        let contents = try readable(path, range)
        if PassingErrors.mayPass(error), again > 0 {
          again -= 1
          continue
        }
        var hash: Digest128?
        if case .digest(let digest) = contents { hash = digest }
        return parts.map { _ in ProbedPart.rejected("\(error)", hash: hash, stamp: stamp, isDeep: settings.deep) }
      }
    }
  }

  private func part(
    _ path: String, _ range: Range<UInt64>?, _ part: ClipPart, _ video: ProbedVideo, _ stamp: FileStamp
  ) -> ProbedPart {
    let file = ClipPart.File(frames: video.frames, duration: video.duration, imageNumbers: video.imageNumbers)
    var clip = ClipEntry(
      id: "", path: "", labels: [0], bytes: video.bytes, hash: video.hash, offset: range?.lowerBound ?? 0,
      frames: video.frames, isProved: video.isProved, head: video.head?.code ?? 0, width: video.width,
      height: video.height,
      frameRate: Float(video.frameRate), codec: video.codec)
    switch part.frames(in: file, video.shown) {
    case .outside(let reason):
      return .rejected(reason, hash: video.hash, stamp: stamp, isDeep: settings.deep)
    case .range(let frames):
      clip.first = frames.lowerBound
      clip.frames = frames.count
    }
    if let problem = clip.problem { return .rejected(problem, hash: video.hash, stamp: stamp, isDeep: settings.deep) }
    return ProbedPart(stamp: stamp, isDeep: settings.deep, outcome: .usable, clip: clip)
  }

  // MARK: Passing errors

  /// Reads all of a file; tries again while that fails for a passing reason.
  private func readable(_ path: String, _ range: Range<UInt64>?) throws -> PassingErrors.Contents {
    var tries = 0
    while true {
      let contents = settings.contents(path, range)
      guard case .failed(let code) = contents, PassingErrors.codes.contains(code) else { return contents }
      try wait(path, code, &tries)
    }
  }

  /// - Throws: `SharedError(.ioError)` if it was tried often enough, or the work is given up.
  private func wait(_ path: String, _ code: Int32, _ tries: inout Int) throws {
    guard tries < settings.waits.count, lock.withLock({ failure == nil }) else {
      throw SharedError(
        .ioError,
        "\(shownPath(path)): cannot be read (\(Self.text(code))), tried \(tries + 1) times; see to the disk, the mount or the "
          + "limits (ulimit -n), and give the same command again: what was found so far is kept")
    }
    let isNews = lock.withLock {
      let now = ContinuousClock.now
      if let said, now - said < .seconds(10) { return false }
      said = now
      return true
    }
    if isNews { settings.say("\(shownPath(path)): cannot be read at the moment (\(Self.text(code))); trying again") }
    sleepThread(for: settings.waits[tries])
    tries += 1
  }

  private static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}

extension ProbedPart {
  /// The same, of a file that has other times now.
  fileprivate func seen(_ stamp: FileStamp) -> ProbedPart {
    var part = self
    part.stamp = stamp
    return part
  }
}

/// Tells a folder from what takes its name, such as the empty folder behind a mount that dropped.
private struct FolderIdentity: Equatable {
  private let device: UInt64
  private let inode: UInt64

  init?(_ path: String) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
  }
}
