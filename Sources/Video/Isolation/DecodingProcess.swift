// A process that decodes for this one: started, asked, watched, and ended with whatever goes wrong in it.
import CFFmpeg
import CLinux
import Foundation
import Glibc
import Shared

/// A child process that answers one request at a time. It ends when its socket closes, so also when this process does.
///
/// Sendable because it belongs to one thread at a time: to the one that took it from the pool.
final class DecodingProcess: @unchecked Sendable {
  private struct Mapped {
    let nonce: UInt64
    weak var segment: MemorySegment?
  }

  let pid: pid_t
  private let silence: Double
  private let socket: Int32
  private let status: DecoderStatus
  /// The segments that the child has mapped.
  private var mapped: [Mapped] = []
  /// The progress that was counted already.
  private var seen: UInt64 = 0
  private var isReaped = false

  /// Starts it, and waits until it is ready.
  /// - Parameters:
  ///   - command: the program's absolute path and its arguments.
  ///   - silence: seconds without progress after which it counts as hanging.
  ///   - started: gets the child's id, and what it shows of itself.
  init(_ command: [String], silence: Double, started: (pid_t, DecoderStatus) -> Void) throws(DecoderEnd) {
    guard let status = DecoderStatus.create() else { throw .notStarted(ENOMEM) }
    var ends: [Int32] = [-1, -1]
    guard unsafe closeOnExecSocketPair(&ends) == 0 else { throw .notStarted(errno) }
    // Beyond 3, where standard streams that are closed here could not be in its way.
    let far = fcntl(ends[1], F_DUPFD_CLOEXEC, 4)
    let number = errno
    close(ends[1])
    guard far >= 0 else {
      close(ends[0])
      throw .notStarted(number)
    }
    let null = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
    guard null >= 0 else {
      let number = errno
      close(ends[0])
      close(far)
      throw .notStarted(number)
    }
    let name = status.name
    let arguments = [DecodingService.argument, "\(name.door)", "\(name.bytes)", "\(name.nonce)"]
    // Its parent's libraries would start threads for work that it never does.
    let environment = ProcessInfo.processInfo.environment.merging(
      ["OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "SWIFT_BACKTRACE": "enable=no"]) { $1 }
    let (child, code) = spawn(
      command + arguments, environment: environment, descriptors: [null, null, null, far], in: .group)
    // As long as the child's end is open here, its end does not show.
    close(far)
    close(null)
    guard let child else {
      close(ends[0])
      throw .notStarted(code)
    }
    (pid, socket, self.status, self.silence) = (child, ends[0], status, silence)
    started(child, status)
    guard case .started(let versions) = try answer(most: 1024, 3 * silence, budget: .infinity, nil) else {
      throw .nonsense
    }
    guard versions == DecodingService.versions else { throw .otherLibraries }
  }

  deinit {
    close(socket)
    guard !isReaped else { return }
    kill(pid, SIGKILL)
    guard waitpid(pid, nil, WNOHANG) == 0 else { return }
    // One that waits for a dead disk ends when the disk answers.
    let pid = pid
    startThread(named: "reap", stackSize: 1 << 18) {
      while waitpid(pid, nil, 0) == -1, errno == EINTR {}
    }
  }

  /// Asks, and waits for the answer. After an error the process is gone, and nothing writes to the memory any more.
  /// - Parameters:
  ///   - memory: the segment that the request names.
  ///   - progress: grows with the child's work.
  func answer(
    to request: DecodingRequest, in memory: MemorySegment?, _ progress: DecodeProgress?
  ) throws(DecoderEnd) -> DecodingAnswer {
    var request = request
    request.dropped = mapped.compactMap { $0.segment == nil ? $0.nonce : nil }
    mapped.removeAll { $0.segment == nil }
    if let memory, !mapped.contains(where: { $0.nonce == memory.name.nonce }) {
      mapped.append(Mapped(nonce: memory.name.nonce, segment: memory))
    }
    // If it is gone, receiving finds out why.
    _ = DecodingFrame.send(request.bytes, over: socket)
    return try answer(
      most: DecodingAnswer.mostBytes(request.rules), silence, budget: request.rules.seconds, progress)
  }

  private func answer(
    most: Int, _ silence: Double, budget: Double, _ progress: DecodeProgress?
  ) throws(DecoderEnd) -> DecodingAnswer {
    var watch = DecoderWatch(silence: silence, budget: budget)
    defer { count(progress) }
    do throws(DecoderEnd) {
      let body = try DecodingFrame.receive(from: socket, most: most) { () throws(DecoderEnd) in
        var mark = ContinuousClock.now
        while try !isReadable(within: watch.interval) {
          let before = mark
          mark = .now
          count(progress)
          let sample = DecoderWatch.Sample(process: pid, progress: seen, isReading: status.isReading)
          let passed = (mark - before) / .seconds(1)
          if let how = watch.hang(sample, after: passed) { throw .hung(how) }
        }
      }
      guard let body else { throw reap() }
      return try DecodingAnswer(body)
    } catch {
      _ = reap()
      throw error
    }
  }

  /// Adds what the child has done since the last call.
  private func count(_ progress: DecodeProgress?) {
    let now = status.progress
    progress?.moved(by: now &- seen)
    seen = now
  }

  private func isReadable(within seconds: Double) throws(DecoderEnd) -> Bool {
    var item = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    while true {
      let ready = unsafe poll(&item, 1, Int32(max(1, seconds * 1000)))
      if ready >= 0 { return ready > 0 }
      if errno != EINTR { throw .notStarted(errno) }
    }
  }

  /// Ends the child, and waits until it is gone.
  /// - Returns: how it ended; by itself, if it had closed its socket.
  private func reap() -> DecoderEnd {
    guard !isReaped else { return .nonsense }
    isReaped = true
    kill(pid, SIGKILL)
    var raw: Int32 = 0
    while unsafe waitpid(pid, &raw, 0) == -1 { if errno != EINTR { return .nonsense } }
    return raw & 0x7f == 0 ? .exit(raw >> 8 & 0xff) : .signal(raw & 0x7f)
  }
}
