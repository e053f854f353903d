// The failures of a run's journal and its lock.
import Foundation
import GRDB
import Shared

/// A failure of the database, or a journal with impossible contents.
public struct JournalError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String
  /// The file at fault.
  public let path: String
  /// Whether the same call may succeed later: the disk is full, failing or read-only, or another process holds a lock.
  /// The call then changed nothing, and the journal can be used. Otherwise retrying is useless, and the run must stop.
  public let isTransient: Bool

  init(_ status: ExitStatus, _ path: String, _ what: String, isTransient: Bool = false) {
    self.status = status
    self.path = path
    self.isTransient = isTransient
    // SQLite quotes statements and findings, which may have several lines.
    description = "\(path): \(what)".split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  /// A journal with impossible contents.
  static func damaged(_ path: String, _ what: String) -> JournalError {
    JournalError(.badData, path, "\(what); restore run.db from a copy, or start a new run directory")
  }

  /// A system call that failed.
  static func system(_ operation: String, _ path: String, errno code: Int32) -> JournalError {
    let text = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    return JournalError(
      .ioError, path, "\(operation) failed: \(text); check the disk and this user's permissions", isTransient: true)
  }

  static func database(_ error: DatabaseError, _ operation: String, _ path: String) -> JournalError {
    let cause = "\(operation) failed: \(error.message ?? "SQLite error") (code \(error.extendedResultCode.rawValue))"
    func transient(_ status: ExitStatus, _ advice: String) -> JournalError {
      JournalError(status, path, "\(cause); \(advice)", isTransient: true)
    }
    switch error.extendedResultCode {
    // The file was moved or removed while open, so anything written now would be lost.
    case .SQLITE_READONLY_DBMOVED: return damaged(path, cause)
    case .SQLITE_IOERR_CORRUPTFS, .SQLITE_IOERR_SHORT_READ: return damaged(path, cause)
    default: break
    }
    switch error.resultCode {
    case .SQLITE_FULL: return transient(.ioError, "free some space")
    case .SQLITE_BUSY, .SQLITE_LOCKED: return transient(.unavailable, "another program holds the database, close it")
    case .SQLITE_IOERR, .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_NOMEM, .SQLITE_PROTOCOL, .SQLITE_INTERRUPT:
      return transient(.ioError, "check the disk and this user's permissions")
    case .SQLITE_CONSTRAINT: return JournalError(.badData, path, "\(cause); run `coordinator audit`")
    // Anything else is an SQL statement that does not fit the tables, or a value that its column cannot have.
    default: return damaged(path, cause)
    }
  }
}
