import Shared
import Testing

@testable import Ring

@Suite struct RingSessionTests {
  private func small(bucket: Int, chunk: Int) -> RingSettings {
    var settings = RingSettings()
    settings.bucketValues = bucket
    settings.chunkValues = chunk
    settings.window = 4
    settings.wholeValues = 30
    return settings
  }

  private func check(
    size: Int, gradients: Int, statistics: Int, _ settings: RingSettings, _ weather: Weather, seed: UInt64,
    steps: Int = 1
  ) throws -> RingHarness {
    let harness = RingHarness(
      size: size, gradients: gradients, statistics: statistics, settings: settings, weather: weather, seed: seed)
    let partials = (0..<steps).map { _ in
      (0..<size).map { _ in randomVectors(gradients, statistics, &harness.random) }
    }
    let before = partials.map { $0.map { $0.digest() } }
    let sums = try harness.reduce(partials)
    for step in 0..<steps {
      let (expected, expectedStatistics) = exactSum(partials[step])
      for sum in sums[step] {
        let isExact = sum.gradients.array == expected && sum.statistics.array == expectedStatistics
        #expect(isExact, "step \(step) of ring size \(size), \(gradients) + \(statistics) values")
      }
    }
    for session in harness.sessions {
      #expect(session.ballots?.map(\.rank) == (0..<size).map(UInt32.init))
      #expect(session.progress?.waiting == .nothing)
    }
    #expect(partials.map { $0.map { $0.digest() } } == before, "partials must not change")
    return harness
  }

  @Test("sums are exact for every ring size and count, below the ring's size too", arguments: [1, 2, 3, 4, 5, 8])
  func sizes(size: Int) throws {
    for gradients in [0, 1, 2, 3, 4, 5, 7, 31, 97, 256, 1009] {
      for statistics in [0, 1, 5, 13] {
        _ = try check(
          size: size, gradients: gradients, statistics: statistics, small(bucket: 100, chunk: 7), .fair,
          seed: UInt64(gradients * 100 + statistics))
      }
    }
  }

  @Test("sums are exact when frames are lost, repeated, damaged and reordered", arguments: [2, 3, 5])
  func foulWeather(size: Int) throws {
    var mended = 0
    var early = 0
    for seed in 0..<12 {
      let harness = try check(
        size: size, gradients: 700, statistics: 20, small(bucket: 300, chunk: 16), .foul, seed: UInt64(seed), steps: 6)
      let counters = harness.sessions.map(\.counters)
      mended += counters.reduce(0) { $0 + min($1.damagedFrames, $1.framesResent) }
      early += counters.reduce(0) { $0 + $1.earlyFrames }
      #expect(counters.allSatisfy { $0.staleFrames == 0 && $0.foreignFrames == 0 })
    }
    #expect(mended > 0 && early > 0, "the weather was not foul, or nobody was ahead")
  }

  @Test("default chunks of many values go through, and fewer bytes than the integers have")
  func large() throws {
    let harness = try check(size: 2, gradients: 300_001, statistics: 1000, RingSettings(), .fair, seed: 1)
    let counters = harness.sessions[0].counters
    #expect(counters.rawBytes > 4 * 290_000 && counters.encodedBytes < counters.rawBytes)
    #expect(counters.bytesSent >= counters.encodedBytes)
  }

  @Test("a ring of one puts nothing on the wire")
  func alone() throws {
    let harness = try check(size: 1, gradients: 50, statistics: 3, small(bucket: 20, chunk: 7), .fair, seed: 1)
    #expect(harness.sessions[0].counters == RingCounters())
  }

  @Test("frames of another generation are dropped and counted; frames of a later attempt wait")
  func keys() throws {
    let settings = small(bucket: 100, chunk: 8)
    var random = Philox(seed: 1, .selfTest)
    let now = ContinuousClock.now
    func session(_ position: Int, generation: UInt32) -> RingSession {
      let plan = RingPlan(size: 2, position: position, gradientCount: 16, statisticCount: 0, settings: settings)
      return RingSession(generation: generation, plan: plan, settings: settings)
    }
    let partials = randomVectors(16, 0, &random)
    let sender = session(0, generation: 2)
    try sender.begin(
      step: 4, attempt: 1, partials: partials, sums: IntegerVectors(gradientCount: 16, statisticCount: 0))
    try sender.startAll()
    let frame = try #require(sender.nextToRight(now: now)?.array)

    let stranger = session(1, generation: 3)
    try stranger.receiveFromLeft(frame, now: now)
    #expect(stranger.counters.foreignFrames == 1 && stranger.nextToLeft() == nil)

    let receiver = session(1, generation: 2)
    let sums = IntegerVectors(gradientCount: 16, statisticCount: 0)
    try receiver.begin(step: 4, attempt: 0, partials: partials, sums: sums)
    try receiver.receiveFromLeft(frame, now: now)
    #expect(receiver.counters.earlyFrames == 1 && receiver.nextToLeft() != nil)
    try receiver.begin(step: 4, attempt: 1, partials: partials, sums: sums)
    #expect(receiver.progress?.waiting == .start(bucket: 0))
    try receiver.startAll()
    #expect(sums.gradients.array(0..<8) == partials.gradients.array(0..<8).map { 2 * $0 })
    #expect(receiver.progress?.waiting == .chunk(bucket: 0, hop: 0, position: 0))

    let late = session(1, generation: 2)
    try late.begin(step: 5, attempt: 0, partials: partials, sums: sums)
    try late.receiveFromLeft(frame, now: now)
    #expect(late.counters.staleFrames == 1)
    late.abort()
    try late.receiveFromLeft(frame, now: now)
    #expect(late.nextToRight(now: now) == nil && late.nextToLeft() == nil && late.deadline == nil)
  }

  @Test("a frame without acknowledgement is sent again when its time is up, then less and less often")
  func patience() throws {
    let settings = small(bucket: 100, chunk: 8)
    var random = Philox(seed: 1, .selfTest)
    let plan = RingPlan(size: 2, position: 0, gradientCount: 8, statisticCount: 0, settings: settings)
    let session = RingSession(generation: 1, plan: plan, settings: settings)
    let sums = IntegerVectors(gradientCount: 8, statisticCount: 0)
    try session.begin(step: 0, attempt: 0, partials: randomVectors(8, 0, &random), sums: sums)
    try session.startAll()
    var now = ContinuousClock.now
    let first = session.nextToRight(now: now)?.array
    #expect(first != nil && session.nextToRight(now: now) == nil)
    for wait in [1, 2, 4, 8, 8] {
      #expect(session.deadline == now + .seconds(wait))
      #expect(session.nextToRight(now: now + .seconds(wait) - .milliseconds(1)) == nil)
      now += .seconds(wait)
      #expect(session.nextToRight(now: now)?.array == first)
    }
    #expect(session.counters.framesResent == 5)
  }

  @Test("an undamaged frame that has no place in the plan is an error, not a crash")
  func violations() throws {
    let settings = small(bucket: 100, chunk: 8)
    var random = Philox(seed: 1, .selfTest)
    let partials = randomVectors(16, 2, &random)
    let wrong: [(inout Frame) -> Void] = [
      { $0.bucket = 9 }, { $0.hop = 2 }, { $0.chunk = 1 }, { $0.valueCount = 7 }, { $0.kind = .ballot },
      { $0.encoding = .lz4 }, { _ in },
    ]
    for (i, change) in wrong.enumerated() {
      let plan = RingPlan(size: 2, position: 0, gradientCount: 16, statisticCount: 2, settings: settings)
      let session = RingSession(generation: 1, plan: plan, settings: settings)
      let sums = IntegerVectors(gradientCount: 16, statisticCount: 2)
      try session.begin(step: 0, attempt: 0, partials: partials, sums: sums)
      try session.startAll()
      var frame = Frame(kind: .chunk, generation: 1, valueCount: 8)
      change(&frame)
      let sealed = Array(repeating: UInt8(7), count: 32).withUnsafeBytes { frame.bytes(payload: $0) }
      sealed.seal(sequence: 0)
      let bytes = sealed.array
      if i < wrong.count - 1 {
        #expect(throws: RingError.self) { try session.receiveFromLeft(bytes, now: .now) }
      } else {
        try session.receiveFromLeft(bytes, now: .now)
      }
    }
  }
}
