// Whose keys are let in at this process's door, and whom each stands for.
import Synchronization
import Wire

/// The keys that a process lets in. Any thread may ask and change it; a change counts from the next message on.
public final class AdmittedKeys: Sendable {
  /// Whom a key stands for.
  public struct Holder: Hashable, Sendable {
    public let rank: Int
    /// One life of the rank's process; nil where the key is that of all its lives.
    public let incarnation: UInt64?

    public init(rank: Int, incarnation: UInt64? = nil) {
      self.rank = rank
      self.incarnation = incarnation
    }

    public init(_ worker: WorkerIdentity) { self.init(rank: worker.rank, incarnation: worker.incarnation) }

    /// Whether this is, or may be, `worker`.
    func matches(_ worker: WorkerIdentity) -> Bool {
      rank == worker.rank && (incarnation ?? worker.incarnation) == worker.incarnation
    }
  }

  private let holders = Mutex<[PublicKey: Holder]>([:])

  public init() {}

  public func admit(_ key: PublicKey, as holder: Holder) { holders.withLock { $0[key] = holder } }

  /// Admits these and nobody else.
  public func admitOnly(_ peers: [Peer]) {
    let all = Dictionary(peers.map { ($0.key, Holder($0.identity)) }, uniquingKeysWith: { first, _ in first })
    holders.withLock { $0 = all }
  }

  /// Refuses new connections with these keys, and what still comes over old ones.
  public func revoke(where matches: (Holder) -> Bool) { holders.withLock { $0 = $0.filter { !matches($0.value) } } }

  func admits(_ key: PublicKey) -> Bool { holders.withLock { $0[key] != nil } }

  /// Whether messages over a connection of this key may come from `worker`.
  func admits(_ key: PublicKey, as worker: WorkerIdentity) -> Bool {
    holders.withLock { $0[key]?.matches(worker) ?? false }
  }
}
