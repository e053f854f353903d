// When training waited for data that no worker could read.
import Foundation
import GRDB

/// A time in which training waited.
public struct PauseRecord: JournalRecord {
  public static let databaseTableName = "pauses"
  private var id: Int?
  /// The step that it stood before.
  public var step: Int
  public var reason: String
  public var startedAt: Date
  /// Nil while it lasts.
  public var endedAt: Date?

  public init(step: Int, reason: String, startedAt: Date) {
    self.step = step
    self.reason = reason
    self.startedAt = startedAt
  }
}

extension Journal {
  /// A pause begins; one that lasts already goes on.
  public func paused(_ pause: PauseRecord) throws {
    try write("recording a pause") { database in
      if try PauseRecord.filter(sql: "ended_at IS NULL").fetchCount(database) == 0 { try pause.insert(database) }
    }
  }

  /// Training goes on, or ended.
  public func resumed(at time: Date) throws {
    try write("recording the end of a pause") { database in
      try database.execute(sql: "UPDATE pauses SET ended_at = ? WHERE ended_at IS NULL", arguments: [time])
    }
  }

  /// The pause that lasts, if there is one.
  public func presentPause() throws -> PauseRecord? {
    try read("reading the pauses") { try PauseRecord.filter(sql: "ended_at IS NULL").fetchOne($0) }
  }
}
