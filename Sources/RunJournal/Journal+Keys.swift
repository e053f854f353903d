// The public keys of the workers that were started, so that a coordinator that is started again knows those that live.
import Foundation
import GRDB

/// The public key of one life of a worker. The secret half is nowhere but in that worker's memory.
public struct WorkerKeyRecord: JournalRecord {
  public static let databaseTableName = "worker_keys"
  private var id: Int?
  public var rank: Int
  public var incarnation: String
  /// 64 hexadecimal digits.
  public var key: String
  public var admittedAt: Date

  public init(rank: Int, incarnation: String, key: String, admittedAt: Date) {
    self.rank = rank
    self.incarnation = incarnation
    self.key = key
    self.admittedAt = admittedAt
  }
}

extension Journal {
  public func record(_ key: WorkerKeyRecord) throws { try write("recording a worker's key") { try key.insert($0) } }

  /// All of them, the oldest first.
  public func workerKeys() throws -> [WorkerKeyRecord] {
    try read("reading the workers' keys") { try WorkerKeyRecord.order(sql: "id").fetchAll($0) }
  }
}
