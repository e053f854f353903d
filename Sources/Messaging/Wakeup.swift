// Lets other threads, and signals, wake a loop that waits in a poller: pipes whose read end is polled.
import CLinux
import Glibc
import Synchronization

/// Wakes a loop from any thread.
///
/// Sendable because both ends of the pipe are fixed, and reading and writing a pipe is safe from any thread.
public final class Wakeup: Sendable {
  private let pipe: Pipe

  /// - Throws: `MessagingError` when the process may open no more files.
  public init() throws { pipe = try Pipe() }

  /// Readable after `signal()`, until `clear()`.
  public var descriptor: Int32 { pipe.reader }

  /// Wakes the loop. Several calls before it wakes count as one.
  public func signal() { pipe.write(1) }

  /// Resets the wake-up. Call it in the loop before looking for work.
  public func clear() { _ = pipe.drain() }
}

/// Turns signals of the process into something that a loop can wait for. There is at most one at a time.
///
/// A handler rather than a blocked mask: it works whatever threads exist already, and children inherit no mask.
public final class SignalSource {
  private let signals: [Int32]
  private let pipe: Pipe

  /// - Parameters:
  ///   - signals: for example `[SIGINT, SIGTERM, SIGCHLD]`.
  ///   - others: handled too, except those that whoever started this process ignores, as nohup ignores SIGHUP.
  /// - Throws: `MessagingError` when a signal cannot be handled, or too many files are open.
  public init(_ signals: [Int32], unlessIgnored others: [Int32] = []) throws {
    let signals = try signals + others.filter { try !isIgnored($0) }
    pipe = try Pipe()
    let (free, _) = signalPipeWriter.compareExchange(
      expected: -1, desired: pipe.writer, ordering: .sequentiallyConsistent)
    precondition(free, "a second SignalSource in one process")
    self.signals = signals
    for signal in signals { try setDisposition(of: signal, to: deliver) }
    // Whoever started this process may have blocked them.
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  deinit {
    for signal in signals { _ = try? setDisposition(of: signal, to: SIG_DFL) }
    signalPipeWriter.store(-1, ordering: .sequentiallyConsistent)
  }

  /// Readable when a signal came that was not taken yet.
  public var descriptor: Int32 { pipe.reader }

  /// The signals that came since the last call, in order.
  public func take() -> [Int32] { pipe.drain().map(Int32.init) }
}

/// Lets signals pass without effect, here and in the programs that this process starts.
///
/// - Throws: `MessagingError` for a signal that cannot be ignored.
public func ignore(signals: [Int32]) throws {
  for signal in signals { try setDisposition(of: signal, to: SIG_IGN) }
}

private func isIgnored(_ signal: Int32) throws -> Bool {
  var action = sigaction()
  try call("sigaction", "signal \(signal)") { unsafe sigaction(signal, nil, &action) }
  // Functions of C cannot be compared in Swift.
  let handler = unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
  return unsafe handler == unsafeBitCast(SIG_IGN, to: Int.self)
}

/// The write end of the living `SignalSource`'s pipe, or −1. An atomic, because a handler may take no lock.
private let signalPipeWriter = Atomic<Int32>(-1)

private func deliver(_ signal: Int32) {
  let saved = errno
  var byte = UInt8(truncatingIfNeeded: signal)
  _ = unsafe Glibc.write(signalPipeWriter.load(ordering: .relaxed), &byte, 1)
  errno = saved
}

private func setDisposition(of signal: Int32, to handler: (@convention(c) (Int32) -> Void)?) throws {
  var action = sigaction()
  unsafe action.__sigaction_handler.sa_handler = handler
  action.sa_flags = Int32(SA_RESTART)
  try call("sigaction", "signal \(signal)") { unsafe sigaction(signal, &action, nil) }
}

/// A pipe that never blocks and that child processes do not inherit.
private final class Pipe: Sendable {
  let reader: Int32
  let writer: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    try call("pipe2") { unsafe closeOnExecPipe(&ends) }
    for end in ends { try call("fcntl") { fcntl(end, F_SETFL, O_NONBLOCK) } }
    (reader, writer) = (ends[0], ends[1])
  }

  deinit {
    close(reader)
    close(writer)
  }

  /// A full pipe is no error: its reader is awake already.
  func write(_ byte: UInt8) {
    var byte = byte
    while unsafe Glibc.write(writer, &byte, 1) == -1 && errno == EINTR {}
  }

  func drain() -> [UInt8] {
    var all: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 256)
    while true {
      let count = unsafe read(reader, &bytes, bytes.count)
      if count > 0 {
        all += bytes.prefix(count)
      } else if count == 0 || errno != EINTR {
        return all
      }
    }
  }
}
