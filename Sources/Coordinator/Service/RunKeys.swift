// The keys of a coordinator, those of the workers that it starts, and whom it admits.
import Foundation
import Messaging
import RunJournal
import Wire

/// Belongs to the thread of the coordinator's loop.
final class RunKeys {
  let own: KeyPair
  let admitted = AdmittedKeys()
  /// The lives of each rank that are admitted: the newest, and some before, which have to be told that they are not wanted
  /// any more if they still live.
  private var lives: [Int: [UInt64]] = [:]

  /// - Parameter files: a folder that holds keys; those that workers of these ranks find there are admitted.
  init(_ files: KeyFiles, admitting ranks: [Int]) throws {
    own = try files.coordinator()
    for rank in ranks {
      admitted.admit(try files.worker(rank: rank).publicKey, as: AdmittedKeys.Holder(rank: rank))
    }
  }

  /// Makes the keys of a new life of a worker, and admits them.
  func newLife(rank: Int) -> (worker: WorkerIdentity, keys: WorkerKeys) {
    let worker = WorkerIdentity(rank: rank, incarnation: .random(in: 1...UInt64.max))
    let pair = KeyPair()
    admit(pair.publicKey, as: worker)
    return (worker, WorkerKeys(own: pair, coordinator: own.publicKey, incarnation: worker.incarnation))
  }

  /// Admits a worker that an earlier coordinator of the run has started. What cannot be a key admits nobody.
  func admit(_ record: WorkerKeyRecord) {
    guard let key = PublicKey(record.key), let incarnation = UInt64(record.incarnation) else { return }
    admit(key, as: WorkerIdentity(rank: record.rank, incarnation: incarnation))
  }

  private static let livesAtOnce = 4

  /// Admits a life of a worker, and revokes the oldest of that rank where there are too many.
  func admit(_ key: PublicKey, as worker: WorkerIdentity) {
    admitted.admit(key, as: AdmittedKeys.Holder(worker))
    let known = (lives[worker.rank] ?? []) + [worker.incarnation]
    lives[worker.rank] = known.suffix(Self.livesAtOnce)
    let old = known.dropLast(Self.livesAtOnce)
    admitted.revoke { $0.rank == worker.rank && $0.incarnation.map(old.contains) ?? false }
  }
}
