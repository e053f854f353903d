// How every module reports a failure to the person at the terminal: one line and an exit code.

/// The exit codes of both commands, after `sysexits.h`.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  case failed = 1
  case usage = 64
  case badData = 65
  case unavailable = 69
  case ioError = 74
  case badConfiguration = 78
  case interrupted = 130
}

/// An error that can be shown to a user. Each module has one type that conforms.
public protocol Failure: Error, CustomStringConvertible {
  /// What the process should exit with if nobody recovers.
  var status: ExitStatus { get }
  /// One line: what went wrong, where, and what to do about it.
  var description: String { get }
}

extension Failure {
  /// What the process exits with: never 0, whatever `status` says.
  public var exitCode: Int32 { (status == .done ? .failed : status).rawValue }
}

/// A failure of a module without an error type of its own, such as recipes, safetensors and messages.
public struct SharedError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String

  /// - Parameter status: `.done`, which a message from elsewhere may hold, becomes `.failed`: no failure looks like
  ///   success.
  public init(_ status: ExitStatus, _ description: String) {
    self.status = status == .done ? .failed : status
    self.description = description
  }
}
