// Processes of tests. Foundation's `Process` hands its own pipes to whatever is started at the same time, and then
// waits for those strangers too; these inherit nothing but their three streams.
import CLinux
import Foundation
import Glibc

/// What a finished process left.
public struct Finished: Sendable {
  /// The exit code, or 128 and the signal's number.
  public let status: Int32
  public let output: String
}

/// A process whose output, errors included, can be read while it runs. It is killed by its id when it is forgotten.
public final class RunningProcess {
  public let pid: pid_t
  private let descriptor: Int32
  private var seen: [UInt8] = []
  private var status: Int32?

  /// - Parameter program: an absolute path.
  public init(_ program: String, _ arguments: [String]) throws {
    var ends: [Int32] = [-1, -1]
    guard closeOnExecPipe(&ends) == 0 else { throw CocoaError(.fileReadUnknown) }
    defer { close(ends[1]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, program, &actions, nil, &words, environ)
    guard code == 0 else {
      close(ends[0])
      throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO)
    }
    pid = child
    descriptor = ends[0]
  }

  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    close(descriptor)
  }

  /// Reads until the output contains `text`.
  /// - Returns: false if the process closed its output before.
  public func wait(for text: String) -> Bool {
    while !output.contains(text) { if !readMore() { return false } }
    return true
  }

  /// Everything read so far.
  public var output: String { String(decoding: seen, as: UTF8.self) }

  public func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

  /// Reads the rest and waits for the end.
  public func finish() -> Finished {
    while readMore() {}
    return Finished(status: wait(), output: output)
  }

  /// Waits for the end, without reading.
  @discardableResult
  public func wait() -> Int32 { wait(0) ?? 0 }

  /// Waits for what this process brings about on disk, which nothing but asking again tells.
  /// - Returns: false if the process ended before.
  public func wait(until holds: () throws -> Bool) rethrows -> Bool {
    while true {
      // Asked first: what it did last counts.
      let hasEnded = wait(WNOHANG) != nil
      if try holds() { return true }
      if hasEnded { return false }
      usleep(10_000)
    }
  }

  /// - Returns: the status; nil if it has not ended, and `options` say not to wait for that.
  private func wait(_ options: Int32) -> Int32? {
    if let status { return status }
    var raw: Int32 = 0
    var found: pid_t
    repeat { found = waitpid(pid, &raw, options) } while found == -1 && errno == EINTR
    guard found != 0 else { return nil }
    let ended = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + (raw & 0x7f)
    status = ended
    return ended
  }

  private func readMore() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4096)
    var count: Int
    repeat { count = read(descriptor, &bytes, bytes.count) } while count == -1 && errno == EINTR
    guard count > 0 else { return false }
    seen += bytes[0..<count]
    return true
  }
}
