// The messages with which a worker joins a run.
import Shared

public struct Hello: Hashable, Sendable, Codable {
  public var host: String
  public var pid: Int32
  /// Threads that compute: the lanes that it computes at once, times the threads of each.
  public var threads: Int
  /// The endpoint at which its peers reach it.
  public var endpoint: String
  /// The fingerprint of what decides its bits: libraries, kernels, engine. It must be the same for all members of a
  /// run.
  public var fingerprint: [String: String]
  /// Its history, if it already is in a run.
  public var past: Past?
  /// Its key, which the coordinator's door fills in: what a worker says of it does not count.
  public var key: PublicKey?

  /// What a worker reports to a coordinator that was restarted.
  public struct Past: Hashable, Sendable, Codable {
    /// The identity of the run that it belongs to.
    public var run: String
    /// The generation that it runs or prepares.
    public var number: UInt32
    /// Every step below this one is applied; nil without a state.
    public var next: UInt64?
    /// The coordinator has confirmed that every step below this one is in the journal.
    public var acknowledged: UInt64
    public var selfTest: SelfTest?

    public init(run: String, number: UInt32, next: UInt64?, acknowledged: UInt64, selfTest: SelfTest? = nil) {
      self.selfTest = selfTest
      self.run = run
      self.number = number
      self.next = next
      self.acknowledged = acknowledged
    }
  }

  public init(
    host: String, pid: Int32, threads: Int, endpoint: String, fingerprint: [String: String], past: Past? = nil,
    key: PublicKey? = nil
  ) {
    self.host = host
    self.pid = pid
    self.threads = threads
    self.endpoint = endpoint
    self.fingerprint = fingerprint
    self.past = past
    self.key = key
  }
}

/// Digests of a worker's self-test: what it computes from fixed numbers, and decodes from the first clip, in the run's
/// shapes.
public struct SelfTest: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The digest of the gradients of a fixed lane.
  public var lane: Digest128
  /// The digest of the first clip of the index; nil if it cannot be decoded.
  public var clip: Digest128?

  public init(lane: Digest128, clip: Digest128?) {
    self.lane = lane
    self.clip = clip
  }

  /// Whether two machines compute the same bits, as far as the self-test shows.
  public func agrees(with other: SelfTest) -> Bool {
    lane == other.lane && (clip == nil || other.clip == nil || clip == other.clip)
  }

  public var description: String { "lane \(lane), clip \(clip.map(\.description) ?? "not decoded")" }
}

public struct Welcome: Hashable, Sendable, Codable {
  /// The identity of the run: drawn when it begins, kept in its journal.
  public var run: String
  /// The resolved recipe.
  public var recipe: String
  /// The clips of training and validation, as blobs that the coordinator serves.
  public var blobs: [BlobDescription]
  /// Training ends by itself when all steps below this one are applied.
  public var lastStep: UInt64

  public init(run: String = "", recipe: String, blobs: [BlobDescription], lastStep: UInt64) {
    self.run = run
    self.recipe = recipe
    self.blobs = blobs
    self.lastStep = lastStep
  }
}
