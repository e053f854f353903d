// A ring of sessions in one process, over a transport that a seed makes lose, repeat, damage and reorder frames.
import Foundation
import Recipes
import Shared
import Testing

@testable import Ring

/// Chances, in percent, of what befalls a frame.
struct Weather {
  var lose = 0
  var damage = 0
  var duplicate = 0
  var reorder = 0

  static let fair = Weather()
  static let foul = Weather(lose: 4, damage: 4, duplicate: 4, reorder: 6)
}

func randomVectors(
  _ gradients: Int, _ statistics: Int, _ random: inout Philox, bits: UInt64 = 14, shared: Bool = false
) -> IntegerVectors {
  let vectors = IntegerVectors(gradientCount: gradients, statisticCount: statistics, shared: shared)
  for i in 0..<gradients { vectors.gradients[i] = Int32(random.next() >> (64 - bits)) - Int32(1) << Int32(bits - 1) }
  for i in 0..<statistics { vectors.statistics[i] = Int64(bitPattern: random.next()) >> 4 }
  return vectors
}

/// Element by element, in unbounded enough integers.
func exactSum(_ partials: [IntegerVectors]) -> ([Int32], [Int64]) {
  let first = partials[0]
  return (
    (0..<first.gradients.count).map { i in Int32(partials.reduce(Int64(0)) { $0 + Int64($1.gradients[i]) }) },
    (0..<first.statistics.count).map { i in partials.reduce(Int64(0)) { $0 + $1.statistics[i] } }
  )
}

final class RingHarness {
  var sessions: [RingSession] = []
  var random: Philox
  let weather: Weather
  private let seed: UInt64
  var now = ContinuousClock.now
  /// Frames on their way to the right of each position, and back to its left.
  var toRight: [[[UInt8]]]
  var toLeft: [[[UInt8]]]

  init(size: Int, gradients: Int, statistics: Int, settings: RingSettings, weather: Weather, seed: UInt64) {
    random = Philox(seed: seed, .selfTest)
    self.weather = weather
    self.seed = seed
    toRight = Array(repeating: [], count: size)
    toLeft = toRight
    for position in 0..<size {
      let plan = RingPlan(
        size: size, position: position, gradientCount: gradients, statisticCount: statistics, settings: settings)
      // Ranks need not agree on the codec.
      var own = settings
      own.codec = ExchangeRecipe.Codec.allCases[position % 3]
      let session = RingSession(generation: 5, plan: plan, settings: own)
      if seed % 2 == 0 { session.pace.choice = LinkPace.Choice(compressed: 0, plain: 1) }
      session.threads = 1 + position % 3
      sessions.append(session)
    }
  }

  /// Whether a position's right neighbour may read its vectors in memory: in a third of the seeds, and not all
  /// positions.
  func isShared(_ position: Int) -> Bool { seed % 3 == 2 && position % 4 < 3 }

  /// Lets one thing happen at a position chosen by the seed. False if it had nothing to do.
  func act(_ position: Int) throws -> Bool {
    let size = sessions.count
    let session = sessions[position]
    switch random.below(4) {
    case 0:
      guard let frame = session.nextToRight(now: now)?.array else { return false }
      send(frame, &toRight[position])
    case 1:
      guard let frame = session.nextToLeft()?.array else { return false }
      send(frame, &toLeft[position])
    case 2:
      let left = (position + size - 1) % size
      guard let frame = take(&toRight[left]) else { return false }
      try session.receiveFromLeft(frame, now: now)
    default:
      let right = (position + 1) % size
      guard let frame = take(&toLeft[right]) else { return false }
      session.receiveFromRight(frame, now: now)
    }
    return true
  }

  private func send(_ frame: [UInt8], _ wire: inout [[UInt8]]) {
    if random.below(100) < weather.lose { return }
    var frame = frame
    if random.below(100) < weather.damage {
      if random.below(4) == 0 { frame.removeLast(1 + random.below(frame.count)) }
      if !frame.isEmpty { frame[random.below(frame.count)] ^= UInt8(1 << random.below(8)) }
    }
    wire.append(frame)
    if random.below(100) < weather.duplicate { wire.append(frame) }
  }

  private func take(_ wire: inout [[UInt8]]) -> [UInt8]? {
    if wire.isEmpty { return nil }
    return wire.remove(at: random.below(100) < weather.reorder ? random.below(wire.count) : 0)
  }

  /// Acts until `done`; time passes when nothing else does.
  func run(until done: () throws -> Bool) throws {
    var idle = 0
    for _ in 0..<2_000_000 {
      if try done() { return }
      if try act(random.below(sessions.count)) { idle = 0 } else { idle += 1 }
      if idle > 40 * sessions.count {
        now += .seconds(1)
        idle = 0
      }
    }
    Issue.record("the ring does not finish: \(sessions.map(\.progress))")
    throw RingError(.failed, "stuck")
  }

  /// Runs one step for each element of `partials` (by step, then position). Each position goes on to the next step as
  /// soon as it has all ballots, whatever the others do; buckets are started in an order and at moments of the seed's
  /// choosing. Returns the sums, in the same order.
  func reduce(_ partials: [[IntegerVectors]]) throws -> [[IntegerVectors]] {
    let size = sessions.count
    let sums = partials.map { step in
      step.enumerated().map { position, partial in
        IntegerVectors(
          gradientCount: partial.gradients.count, statisticCount: partial.statistics.count, shared: isShared(position))
      }
    }
    var step = Array(repeating: -1, count: size)
    var pending = Array(repeating: [Int](), count: size)
    var offered = Array(repeating: true, count: size)
    try run {
      let position = random.below(size)
      let session = sessions[position]
      let current = step[position]
      if current < 0 || session.ballots != nil {
        if current + 1 < partials.count && random.below(20) == 0 {
          let next = current + 1
          try session.begin(
            step: UInt64(next / 2), attempt: UInt8(next % 2), partials: partials[next][position],
            sums: sums[next][position], now: .now)
          step[position] = next
          pending[position] = random.permutation(session.plan.buckets.count)
          offered[position] = false
        }
      } else if let bucket = pending[position].last {
        if random.below(10) == 0 {
          pending[position].removeLast()
          try session.start(bucket: bucket)
        }
      } else if session.isReduced && !offered[position] {
        offered[position] = true
        session.offer(ballot(position, sums[current][position], partials[current][position]))
      }
      if let ballots = session.ballots, current >= 0 {
        let verdict = Verdict.of(ballots, clips: clips)
        if verdict != .commit(directive: 10) { throw RingError(.failed, "step \(current): \(verdict)") }
      }
      return step.allSatisfy { $0 == partials.count - 1 } && sessions.allSatisfy { $0.ballots != nil }
    }
    return sums
  }

  /// Rank i trains clip i in lane i.
  private var clips: [Digest128] { sessions.indices.map { ClipPairs.digest(step: 0, lane: $0, clips: [$0]) } }

  func ballot(_ position: Int, _ sum: IntegerVectors, _ partial: IntegerVectors) -> Ballot {
    Ballot(
      rank: UInt32(position), sumDigest: sum.digest(), weightsDigest: Digest128(high: 1, low: 2), scalesDigest: 3,
      partialChecksum: partial.linearChecksum(), sumChecksum: sum.linearChecksum(),
      trainedClips: ClipPairs.digest(step: 0, lane: position, clips: [position]),
      expectedClips: ClipPairs.sum(clips), lanes: LaneSet([position]), directive: UInt64(10 + position))
  }
}
