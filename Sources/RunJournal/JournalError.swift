// What can go wrong with a run's journal and its lock, in one line each.
import Foundation
import GRDB
import Shared

/// A failure of the database, or a journal whose contents cannot be.
public struct JournalError: Failure, Equatable {
  public let status: ExitStatus
  public let description: String
  /// The file at fault.
  public let path: String

  init(_ status: ExitStatus, _ path: String, _ what: String) {
    self.status = status
    self.path = path
    description = "\(path): \(what)"
  }

  /// A journal that says what cannot be.
  static func damaged(_ path: String, _ what: String) -> JournalError {
    JournalError(.badData, path, "\(what); restore run.db from a copy, or start a new run directory")
  }

  /// A call to the system that failed.
  static func system(_ operation: String, _ path: String, errno code: Int32) -> JournalError {
    let text = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    return JournalError(.ioError, path, "\(operation) failed: \(text); check the disk and this user's permissions")
  }

  static func database(_ error: DatabaseError, _ operation: String, _ path: String) -> JournalError {
    let cause = "\(operation) failed: \(error.message ?? "SQLite error") (code \(error.extendedResultCode.rawValue))"
    switch error.resultCode {
    case .SQLITE_CORRUPT, .SQLITE_NOTADB: return damaged(path, cause)
    case .SQLITE_FULL: return JournalError(.ioError, path, "\(cause); free some space")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      return JournalError(.unavailable, path, "\(cause); another program holds the database, close it")
    case .SQLITE_CONSTRAINT: return JournalError(.badData, path, "\(cause); run `coordinator audit`")
    default: return JournalError(.ioError, path, "\(cause); check the disk and this user's permissions")
    }
  }
}
