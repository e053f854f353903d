// The routing id of a worker's connection, as text: who opens it, what it is for, and which attempt it is.
import Foundation
import Shared
import Wire

/// `c.RANK.INCARNATION.NUMBER` for control messages, `h.…` for heartbeats, `b.…` for blobs of a peer, and
/// `g.RANK.INCARNATION.NUMBER.GENERATION` for the frames to a right neighbour; numbers in their shortest form.
public struct ConnectionName: Hashable, Sendable {
  public enum Channel: Hashable, Sendable {
    case control
    case heartbeat
    case blobs
    case ring(generation: UInt32)
  }

  public var worker: WorkerIdentity
  public var channel: Channel
  /// Grows with each new connection of the channel: a router that has not noticed the end of an old connection ignores
  /// another one of the same name.
  public var number: Int

  public init(_ worker: WorkerIdentity, _ channel: Channel, number: Int = 0) {
    self.worker = worker
    self.channel = channel
    self.number = number
  }

  /// - Returns: nil for bytes that are not the canonical form of a name: "00" or "+1" would be other names for somebody
  ///   who has one already.
  public init?(_ bytes: Data) {
    guard let text = String(data: bytes, encoding: .utf8) else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (4...5).contains(parts.count), let rank = Int(parts[1]), rank >= 0, let life = UInt64(parts[2]),
      let number = Int(parts[3]), number >= 0
    else { return nil }
    worker = WorkerIdentity(rank: rank, incarnation: life)
    self.number = number
    switch (parts[0], parts.count) {
    case ("c", 4): channel = .control
    case ("h", 4): channel = .heartbeat
    case ("b", 4): channel = .blobs
    case ("g", 5):
      guard let generation = UInt32(parts[4]) else { return nil }
      channel = .ring(generation: generation)
    default: return nil
    }
    guard self.bytes == bytes else { return nil }
  }

  public var bytes: Data {
    let rest = "\(worker.rank).\(worker.incarnation).\(number)"
    return switch channel {
    case .control: Data("c.\(rest)".utf8)
    case .heartbeat: Data("h.\(rest)".utf8)
    case .blobs: Data("b.\(rest)".utf8)
    case .ring(let generation): Data("g.\(rest).\(generation)".utf8)
    }
  }
}
