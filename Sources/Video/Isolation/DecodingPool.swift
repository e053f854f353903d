// What decodes and probes: processes that do it for this one, of which each thread that needs one borrows one; or this
// process itself.
import Glibc
import Shared
import Synchronization

/// Has clips decoded and files probed in other processes, so that a decoder that crashes or hangs on a file costs that
/// file a second try in a new process, and nothing else. Any number of threads may share one pool; it has as many
/// processes as threads used it at once, or none at all (`inThisProcess`).
public final class DecodingPool: Sendable {
  public struct Settings: Sendable {
    /// The absolute path of a program that calls `DecodingService.runIfAsked` first, and arguments.
    public var command: [String]
    /// How long a decoder may go without progress, unless it waits for a disk.
    public var silence: Duration
    /// Gets the id of each process that was started, and what it shows of itself.
    var started: @Sendable (pid_t, DecoderStatus) -> Void = { _, _ in }

    /// - Parameter command: this program, also when its file was replaced.
    public init(command: [String] = ["/proc/self/exe"], silence: Duration = .seconds(20)) {
      self.command = command
      self.silence = silence
    }
  }

  /// Nil to decode on the threads that ask.
  private let settings: Settings?
  private let idle = Mutex<[DecodingProcess]>([])
  /// Where long files can be entered, where this process decodes itself.
  private let tables = EntryTables()

  public convenience init(_ settings: Settings = Settings()) { self.init(settings: settings) }

  private init(settings: Settings?) { self.settings = settings }

  /// Decodes on the threads that ask, where a decoder that crashes ends this process.
  public static func inThisProcess() -> DecodingPool { DecodingPool(settings: nil) }

  /// Storage that clips can be loaded into without being copied.
  func storage(count: Int) -> FloatStorage {
    settings == nil ? FloatStorage(count: count) : FloatStorage.shared(count: count)
  }

  /// As `ClipProbe.probe`.
  public func probe(
    _ path: String, range: Range<UInt64>? = nil, deep: Bool, rules: VideoRules = VideoRules()
  ) throws -> ProbedClip {
    if settings == nil { return try ClipProbe.probe(path, range: range, deep: deep, rules: rules) }
    let request = DecodingRequest(work: .probe(path: path, range: range, deep: deep), rules: rules)
    guard case .probed(let clip) = try answer(to: request) else {
      throw DecoderEnd.nonsense.error(path, isRepeated: false)
    }
    return clip
  }

  /// As `ClipPictures`.
  public func pictures(
    _ path: String, range: Range<UInt64>? = nil, isProved: Bool = false, first: Int, frames: Int, count: Int,
    height: Int, rules: VideoRules = VideoRules()
  ) throws -> ClipPictures {
    if settings == nil {
      return try ClipPictures(
        path, range: range, isProved: isProved, first: first, frames: frames, count: count, height: height, rules: rules
      )
    }
    let work = DecodingRequest.Work.pictures(
      path: path, range: range, isProved: isProved, first: first, frames: frames, count: count, height: height)
    guard case .pictures(let pictures) = try answer(to: DecodingRequest(work: work, rules: rules)) else {
      throw DecoderEnd.nonsense.error(path, isRepeated: false)
    }
    return pictures
  }

  /// Decodes a clip into `storage`, from the element `start` on.
  /// - Parameter tries: of a file that cannot be decoded; a decoder that fails is tried twice in any case.
  /// - Returns: the file's frames, if they had to be counted.
  /// - Throws: `VideoError`.
  func load(
    _ job: ClipJob, _ rules: VideoRules, tries: Int, _ progress: DecodeProgress, into storage: FloatStorage,
    at start: Int
  ) throws -> Int? {
    if settings == nil { return try loadHere(job, rules, tries: tries, progress, into: storage, at: start) }
    guard let memory = storage.segment else {
      let copy = FloatStorage.shared(count: job.form.clipElements)
      guard copy.segment != nil else { throw DecoderEnd.notStarted(ENOMEM).error(job.request.path, isRepeated: false) }
      let total = try load(job, rules, tries: tries, progress, into: copy, at: 0)
      unsafe (storage.base + start).update(from: copy.base, count: copy.count)
      return total
    }
    let offset = storage.segmentOffset + start * MemoryLayout<Float>.stride
    let request = DecodingRequest(work: .load(job, memory.name, offset: offset), rules: rules)
    switch try answer(to: request, tries: tries, in: memory, progress) {
    case .loaded(let total): return total
    case .noMemory: throw DecoderEnd.notStarted(ENOMEM).error(job.request.path, isRepeated: false)
    default: throw DecoderEnd.nonsense.error(job.request.path, isRepeated: false)
    }
  }

  private func loadHere(
    _ job: ClipJob, _ rules: VideoRules, tries: Int, _ progress: DecodeProgress, into storage: FloatStorage,
    at start: Int
  ) throws -> Int? {
    let decoding = ClipDecoding(rules, progress, tables)
    let dst = unsafe UnsafeMutableBufferPointer(rebasing: storage.buffer[start..<start + job.form.clipElements])
    for _ in 1..<max(1, tries) {
      do { return unsafe try decoding.load(job, into: dst) } catch {}
    }
    return unsafe try decoding.load(job, into: dst)
  }

  /// - Throws: the `VideoError` of the last try.
  private func answer(
    to request: DecodingRequest, tries: Int = 1, in memory: MemorySegment? = nil, _ progress: DecodeProgress? = nil
  ) throws -> DecodingAnswer {
    // No system opens such a name, and a decoder that is stopped could not take it.
    guard request.path.utf8.count <= 1 << 16 else { throw ClipFile.failure(request.path, "open", ENAMETOOLONG) }
    var attempt = 1
    var hasEnded = false
    while true {
      switch answerOnce(to: request, isFresh: hasEnded, in: memory, progress) {
      case .success(.failed(let error)): if attempt >= tries { throw error }
      case .success(let answer): return answer
      case .failure(let end):
        if attempt >= max(2, tries) { throw end.error(request.path, isRepeated: hasEnded) }
        hasEnded = true
      }
      attempt += 1
    }
  }

  /// - Parameter isFresh: whether a new process is wanted: the idle ones may have ended with the one that failed, as
  ///   when memory is short.
  private func answerOnce(
    to request: DecodingRequest, isFresh: Bool, in memory: MemorySegment?, _ progress: DecodeProgress?
  ) -> Result<DecodingAnswer, DecoderEnd> {
    do throws(DecoderEnd) {
      let kept = isFresh ? nil : idle.withLock { $0.popLast() }
      let process = if let kept { kept } else { try start() }
      let answer = try process.answer(to: request, in: memory, progress)
      idle.withLock { $0.append(process) }
      return .success(answer)
    } catch { return .failure(error) }
  }

  private func start() throws(DecoderEnd) -> DecodingProcess {
    guard let settings else { preconditionFailure("this process decodes itself") }
    return try DecodingProcess(settings.command, silence: settings.silence / .seconds(1), started: settings.started)
  }
}
