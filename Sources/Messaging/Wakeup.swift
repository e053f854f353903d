// Pipes by which other threads and signals wake a loop that waits in a poller.
import CLinux
import Glibc
import Synchronization

/// Wakes a loop from any thread.
///
/// Sendable because both descriptors are constant, and any thread may read or write a pipe.
public final class Wakeup: Sendable {
  private let pipe: Pipe

  /// - Throws: `MessagingError` if the process may open no more files.
  public init() throws { pipe = try Pipe() }

  /// Readable after `signal()`, until `clear()`.
  public var descriptor: Int32 { pipe.reader }

  /// Wakes the loop. Several calls before that count as one.
  public func signal() { pipe.write(1) }

  /// Resets the wake-up. Call it in the loop before looking for work.
  public func clear() { _ = pipe.drain() }
}

/// Makes a loop able to wait for the process's signals. At most one exists at a time.
///
/// It installs handlers instead of blocking signals: handlers work whatever threads already exist, and children inherit
/// no mask.
public final class SignalSource {
  private let signals: [Int32]
  private let pipe: Pipe

  /// - Parameters:
  ///   - signals: for example `[SIGINT, SIGTERM, SIGCHLD]`.
  ///   - others: handled too, unless this process inherited that they are ignored, as nohup ignores SIGHUP.
  /// - Throws: `MessagingError` if a signal cannot be handled, or too many files are open.
  public init(_ signals: [Int32], unlessIgnored others: [Int32] = []) throws {
    let signals = try signals + others.filter { try !isIgnored($0) }
    pipe = try Pipe()
    let (free, _) = signalPipeWriter.compareExchange(
      expected: -1, desired: pipe.writer, ordering: .sequentiallyConsistent)
    precondition(free, "a second SignalSource in one process")
    self.signals = signals
    for signal in signals { try setDisposition(of: signal, to: deliver) }
    // The parent may have blocked them.
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  deinit {
    for signal in signals { _ = try? setDisposition(of: signal, to: SIG_DFL) }
    signalPipeWriter.store(-1, ordering: .sequentiallyConsistent)
  }

  /// Readable while there are signals that `take` has not returned.
  public var descriptor: Int32 { pipe.reader }

  /// The signals that came since the last call, in order.
  public func take() -> [Int32] { pipe.drain().map(Int32.init) }
}

/// Ignores signals, here and in the programs that this process starts.
///
/// - Throws: `MessagingError` for a signal that cannot be ignored.
public func ignore(signals: [Int32]) throws {
  for signal in signals { try setDisposition(of: signal, to: SIG_IGN) }
}

private func isIgnored(_ signal: Int32) throws -> Bool {
  var action = sigaction()
  try call("sigaction", "signal \(signal)") { unsafe sigaction(signal, nil, &action) }
  // Swift cannot compare C functions.
  let handler = unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
  return unsafe handler == unsafeBitCast(SIG_IGN, to: Int.self)
}

/// The write end of the `SignalSource`'s pipe, or −1. It is atomic because a handler may not take a lock.
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

  /// A full pipe is not an error: its reader is already awake.
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
