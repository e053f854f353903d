// A committed step, the clips that it consumed, and the hash chain over the commits.
import Foundation
import Shared
import Wire

/// A clip that a lane consumed.
public struct ConsumedClip: Hashable, Sendable, Codable, Comparable {
  public var lane: Int
  /// Its number in the index.
  public var clip: Int

  public init(lane: Int, clip: Int) {
    self.lane = lane
    self.clip = clip
  }

  public static func < (a: ConsumedClip, b: ConsumedClip) -> Bool { (a.lane, a.clip) < (b.lane, b.clip) }

  /// SHA-256 of "LANE:CLIP" for each clip, sorted by lane, then clip, joined by commas.
  static func digest(_ consumed: [ConsumedClip]) -> String {
    sha256Hex(Data(consumed.sorted().map { "\($0.lane):\($0.clip)" }.joined(separator: ",").utf8))
  }
}

/// A committed step.
public struct StepRecord: JournalRecord {
  public static let databaseTableName = "steps"
  /// From 0: the step leads from the state after `step` steps to the next.
  public var step: Int
  public var epoch: Int
  public var generation: Int
  public var attempt: Int
  /// XXH3-128 of the reduced sum, 32 hexadecimal digits.
  public var digest: String
  /// XXH3-128 of the weights that the step started from.
  public var weightsDigest: String
  /// XXH3-128 of the state that it led to; empty in rows of older versions.
  public var stateDigest: String
  /// The mean loss over the step's clips.
  public var loss: Double
  /// How many clips had their class ranked first, and among the first five.
  public var top1: Int
  public var top5: Int
  /// How many clips it consumed.
  public var clips: Int
  public var learningRate: Double
  public var gradientBits: Int
  /// The digest of the clips consumed. The journal fills it in.
  public internal(set) var clipsDigest = ""
  /// `ClipPairs` of the clips that the ranks report as trained; nil in rows of older versions.
  public var pairsDigest: String?
  /// The bytes that the ring would have carried uncompressed, and those that it carried, over all ranks.
  public var rawBytes: Int
  public var wireBytes: Int
  public var ringSeconds: Double
  public var computeSeconds: Double
  public var decodeWaitSeconds: Double
  /// The rank whose record this is.
  public var reporter: Int
  public var committedAt: Date
  /// SHA-256 of the previous row's chain and this row's text. The journal fills it in.
  public internal(set) var chain = ""

  public init(
    step: Int, epoch: Int, generation: Int, attempt: Int, digest: String, weightsDigest: String,
    stateDigest: String = "", pairsDigest: String? = nil, loss: Double, top1: Int, top5: Int, clips: Int,
    learningRate: Double, gradientBits: Int, rawBytes: Int, wireBytes: Int,
    ringSeconds: Double, computeSeconds: Double, decodeWaitSeconds: Double, reporter: Int, committedAt: Date
  ) {
    self.step = step
    self.epoch = epoch
    self.generation = generation
    self.attempt = attempt
    self.digest = digest
    self.weightsDigest = weightsDigest
    self.stateDigest = stateDigest
    self.pairsDigest = pairsDigest
    self.loss = loss
    self.top1 = top1
    self.top5 = top5
    self.clips = clips
    self.learningRate = learningRate
    self.gradientBits = gradientBits
    self.rawBytes = rawBytes
    self.wireBytes = wireBytes
    self.ringSeconds = ringSeconds
    self.computeSeconds = computeSeconds
    self.decodeWaitSeconds = decodeWaitSeconds
    self.reporter = reporter
    self.committedAt = committedAt
  }

  /// The text that the chain covers: all columns but times and byte counts. Fractional numbers are written as the 16
  /// hexadecimal digits of their IEEE 754 bits, so that any language produces the same text.
  var chainText: String {
    let columns = [
      String(step), String(epoch), String(generation), String(attempt), digest, weightsDigest, bits(loss),
      String(top1), String(top5), String(clips), bits(learningRate), String(gradientBits), clipsDigest,
    ]
    let later = [stateDigest, pairsDigest ?? ""].filter { !$0.isEmpty }
    return (columns + later).joined(separator: "|")
  }

  /// The chain's next link: SHA-256 of the previous link (64 digits; empty before the first row), a newline and
  /// `chainText`.
  func chain(after previous: String) -> String { sha256Hex(Data("\(previous)\n\(chainText)".utf8)) }

  /// Whether `other` is the same step with the same outcome.
  func agrees(with other: StepRecord) -> Bool {
    step == other.step && epoch == other.epoch && digest == other.digest && weightsDigest == other.weightsDigest
      && clipsDigest == other.clipsDigest
      && (pairsDigest == nil || other.pairsDigest == nil || pairsDigest == other.pairsDigest)
  }

  private func bits(_ value: Double) -> String {
    let digits = String(value.bitPattern, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// One rank's share of a committed step, and where its time went (`StepTimes`).
public struct ShareRecord: JournalRecord {
  public static let databaseTableName = "shares"
  /// The row in `steps`. The journal fills it in.
  public internal(set) var stepId: Int64 = 0
  public var rank: Int
  public var lanes: Int
  public var rawBytes: Int
  public var wireBytes: Int
  public var decodeWait: Double
  public var forward: Double
  public var backward: Double
  public var quantise: Double
  public var idle: Double
  public var overlap: Double
  public var reduce: Double
  public var vote: Double
  public var apply: Double

  /// - Parameter lanes: how many lanes the rank computed.
  public init(rank: Int, lanes: Int, rawBytes: Int, wireBytes: Int, times: StepTimes) {
    self.rank = rank
    self.lanes = lanes
    self.rawBytes = rawBytes
    self.wireBytes = wireBytes
    decodeWait = times.decodeWait
    forward = times.forward
    backward = times.backward
    quantise = times.quantise
    idle = times.idle
    overlap = times.overlap
    reduce = times.reduce
    vote = times.vote
    apply = times.apply
  }
}

/// A step with the clips that it consumed.
public struct JournalCommit: Hashable, Sendable, Codable {
  public var step: StepRecord
  public var consumed: [ConsumedClip]
  /// Each rank's share.
  public var shares: [ShareRecord]

  /// - Parameter consumed: as many clips as the step consumed.
  public init(step: StepRecord, consumed: [ConsumedClip], shares: [ShareRecord] = []) {
    self.step = step
    self.consumed = consumed
    self.shares = shares
    self.step.clipsDigest = ConsumedClip.digest(consumed)
  }
}
