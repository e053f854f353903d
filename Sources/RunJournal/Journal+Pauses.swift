// The pauses of training while no worker could read its data.
import Foundation
import GRDB

/// A pause of training.
public struct PauseRecord: JournalRecord {
  public static let databaseTableName = "pauses"
  private var id: Int?
  /// The next step to train.
  public var step: Int
  public var reason: String
  public var startedAt: Date
  /// Nil while the pause lasts.
  public var endedAt: Date?

  public init(step: Int, reason: String, startedAt: Date) {
    self.step = step
    self.reason = reason
    self.startedAt = startedAt
  }
}

extension Journal {
  /// Begins a pause, unless one lasts already.
  public func paused(_ pause: PauseRecord) throws {
    try write("recording a pause") { database in
      if try PauseRecord.filter(sql: "ended_at IS NULL").fetchCount(database) == 0 { try pause.insert(database) }
    }
  }

  /// Ends the pause: training goes on, or has ended.
  public func resumed(at time: Date) throws {
    try write("recording the end of a pause") { database in
      try database.execute(sql: "UPDATE pauses SET ended_at = ? WHERE ended_at IS NULL", arguments: [time])
    }
  }

  /// The present pause, if there is one.
  public func presentPause() throws -> PauseRecord? {
    try read("reading the pauses") { try PauseRecord.filter(sql: "ended_at IS NULL").fetchOne($0) }
  }
}
