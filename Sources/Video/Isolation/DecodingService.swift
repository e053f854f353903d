// The other side: a process that does nothing but decode for the process that started it.
import CFFmpeg
import CLinux
import Foundation
import Glibc
import Shared

public enum DecodingService {
  /// The first argument of a decoder, which no user gives.
  static let argument = "--decode-for-another-process"
  private static let socket: Int32 = 3
  /// A request is one path and some numbers.
  private static let mostBytes = 1 << 20

  /// What must be equal on both sides: FFmpeg's libraries, which may be replaced on disk while a process runs.
  static var versions: [UInt64] {
    [avformat_version(), avcodec_version(), avutil_version(), swscale_version()].map { UInt64($0) }
  }

  /// Decodes until the other process ends, and then ends this one, if that is what it was started for. Call it first of
  /// all: before threads are started or arguments are looked at.
  public static func runIfAsked(_ arguments: [String] = CommandLine.arguments) {
    guard arguments.count > 1, arguments[1] == argument else { return }
    let numbers = arguments.dropFirst(2).compactMap { UInt64($0) }
    guard numbers.count == 3 else { _exit(ExitStatus.usage.rawValue) }
    let name = MemorySegment.Name(door: numbers[0], bytes: numbers[1], nonce: numbers[2])
    guard let status = DecoderStatus.open(name) else { _exit(ExitStatus.ioError.rawValue) }
    prepare()
    unsafe FileWait.status = status
    serve(DecodeProgress(status))
  }

  private static func prepare() {
    _ = unsafe pthread_setname_np(pthread_self(), "decoder")
    keepFreedMemory()
    endWhereLibrariesLackMemory()
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    // Where memory is short, the kernel should end a decoder and not the process that trains.
    let file = unsafe open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
    if file >= 0 {
      _ = unsafe write(file, "500", 3)
      close(file)
    }
    // The main thread may be anywhere in a decoder when the other process ends.
    startThread(named: "parent", stackSize: 1 << 18) {
      var item = pollfd(fd: socket, events: 0, revents: 0)
      while unsafe poll(&item, 1, -1) < 0, errno == EINTR {}
      _exit(ExitStatus.done.rawValue)
    }
  }

  private static func serve(_ progress: DecodeProgress) -> Never {
    var segments: [UInt64: MemorySegment] = [:]
    let tables = EntryTables()
    var rules: VideoRules?
    var isSent = DecodingFrame.send(DecodingAnswer.started(versions).bytes, over: socket)
    do {
      while isSent, let bytes = try DecodingFrame.receive(from: socket, most: mostBytes) {
        let request = try DecodingRequest(bytes)
        for nonce in request.dropped { segments[nonce] = nil }
        if request.rules != rules { limitMemory(request.rules) }
        rules = request.rules
        isSent = DecodingFrame.send(answer(to: request, &segments, progress, tables).bytes, over: socket)
      }
    } catch { _exit(ExitStatus.badData.rawValue) }
    _exit(ExitStatus.done.rawValue)
  }

  private static func answer(
    to request: DecodingRequest, _ segments: inout [UInt64: MemorySegment], _ progress: DecodeProgress,
    _ tables: EntryTables
  ) -> DecodingAnswer {
    do {
      switch request.work {
      case .load(let job, let memory, let offset):
        let segment = segments[memory.nonce] ?? MemorySegment.open(memory, isWritable: true)
        guard let segment else { return .noMemory }
        segments[memory.nonce] = segment
        let stride = MemoryLayout<Float>.stride
        let count = job.form.clipElements
        guard offset >= 0, offset % stride == 0, offset + count * stride <= Int(memory.bytes) else {
          throw DecoderEnd.nonsense
        }
        let place = unsafe segment.place(offset).assumingMemoryBound(to: Float.self)
        let clip = unsafe UnsafeMutableBufferPointer(start: place, count: count)
        return .loaded(total: unsafe try ClipDecoding(request.rules, progress, tables).load(job, into: clip))
      case .probe(let path, let range, let deep):
        return .probed(
          try ClipProbe.probe(path, range: range, deep: deep, rules: request.rules, progress: progress))
      case .pictures(let path, let range, let isProved, let first, let frames, let count, let height):
        return .pictures(
          try ClipPictures(
            path, range: range, isProved: isProved, first: first, frames: frames, count: count, height: height,
            rules: request.rules))
      }
    } catch let error as VideoError {
      return .failed(error)
    } catch { return .failed(VideoError(path: request.path, operation: "decode", cause: "\(error)")) }
  }

  /// Lets the process have what the largest picture that the rules allow can need, so that a decoder that allocates
  /// without end ends alone. What is shared with the other process does not count.
  private static func limitMemory(_ rules: VideoRules) {
    // The packets of a file, indexes, libraries; and 17 reference pictures of 6 bytes a pixel, with what goes with
    // them.
    let (pictures, overflow) = max(0, rules.pixels).multipliedReportingOverflow(by: 128)
    let bytes = overflow ? Int.max : min(pictures, 1 << 45) + 2 << 30
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit)
    limit.rlim_cur = min(UInt(bytes), limit.rlim_max)
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit)
  }
}
