// Why a decoder's process did not answer.
import Glibc
import Shared

enum DecoderEnd: Error, Equatable {
  /// By a signal that nobody here sent.
  case signal(Int32)
  case exit(Int32)
  /// The watchdog ended it.
  case hung(String)
  /// It answered what nobody asked.
  case nonsense
  /// The system has no process, descriptor or memory for it.
  case notStarted(Int32)
  /// The libraries on this host's disk are not the ones that this process runs.
  case otherLibraries

  /// The same for whoever asked for the clip.
  /// - Parameter isRepeated: whether a new decoder ended in the same way.
  func error(_ path: String, isRepeated: Bool) -> VideoError {
    func failure(_ cause: String, _ number: Int32? = nil) -> VideoError {
      VideoError(
        path: path, operation: "decode", cause: cause + (isRepeated && !isOfHost ? ", twice" : ""),
        status: number == nil ? .badData : .ioError, errorNumber: number)
    }
    switch self {
    // Nothing in a file can send it: it comes from the kernel when memory is short, or from a person.
    case .signal(SIGKILL): return failure("its decoder was killed (SIGKILL: is memory short?)", ENOMEM)
    case .signal(let number): return failure("its decoder crashed (\(Self.name(number)))")
    case .exit(ExitStatus.unavailable.rawValue): return failure("its decoder gets no more memory", ENOMEM)
    case .exit(let code): return failure("its decoder ended with exit code \(code)")
    case .hung(let how): return failure("its decoder hung: \(how)")
    case .nonsense: return failure("its decoder answered nonsense")
    case .notStarted(let number):
      return failure("its decoder cannot be started (\(unsafe String(cString: strerror(number))))", number)
    case .otherLibraries:
      return failure("FFmpeg was replaced on this host while this process runs: start it again", EAGAIN)
    }
  }

  /// Whether it has nothing to do with what was decoded.
  private var isOfHost: Bool {
    switch self {
    case .notStarted, .otherLibraries: true
    default: false
    }
  }

  private static func name(_ signal: Int32) -> String {
    let names = [
      SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE",
      SIGTRAP: "SIGTRAP", SIGTERM: "SIGTERM", SIGSYS: "SIGSYS",
    ]
    return names[signal] ?? "signal \(signal)"
  }
}
