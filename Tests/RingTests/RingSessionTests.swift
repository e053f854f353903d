import Foundation
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
      (0..<size).map { randomVectors(gradients, statistics, &harness.random, shared: harness.isShared($0)) }
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
    var readers = 0
    for seed in 0..<12 {
      let harness = try check(
        size: size, gradients: 700, statistics: 20, small(bucket: 300, chunk: 16), .foul, seed: UInt64(seed), steps: 6)
      let counters = harness.sessions.map(\.counters)
      mended += counters.reduce(0) { $0 + min($1.damagedFrames, $1.framesResent) }
      readers += harness.sessions.count(where: \.isReadByRight)
      early += counters.reduce(0) { $0 + $1.earlyFrames }
      #expect(counters.allSatisfy { $0.staleFrames == 0 && $0.foreignFrames == 0 })
    }
    #expect(mended > 0 && early > 0, "the weather was not foul, or nobody was ahead")
    #expect(readers > 0, "nobody read a neighbour's memory")
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
      step: 4, attempt: 1, partials: partials, sums: IntegerVectors(gradientCount: 16, statisticCount: 0),
      now: .now)
    try sender.startAll()
    let frame = try #require(sender.nextToRight(now: now)?.array)

    let stranger = session(1, generation: 3)
    try stranger.receiveFromLeft(frame, now: now)
    #expect(stranger.counters.foreignFrames == 1 && stranger.nextToLeft() == nil)

    let receiver = session(1, generation: 2)
    let sums = IntegerVectors(gradientCount: 16, statisticCount: 0)
    try receiver.begin(step: 4, attempt: 0, partials: partials, sums: sums, now: .now)
    try receiver.receiveFromLeft(frame, now: now)
    #expect(receiver.counters.earlyFrames == 1 && receiver.nextToLeft() != nil)
    try receiver.begin(step: 4, attempt: 1, partials: partials, sums: sums, now: .now)
    #expect(receiver.progress?.waiting == .start(bucket: 0))
    try receiver.startAll()
    #expect(sums.gradients.array(0..<8) == partials.gradients.array(0..<8).map { 2 * $0 })
    #expect(receiver.progress?.waiting == .chunk(bucket: 0, hop: 0, position: 0))

    let late = session(1, generation: 2)
    try late.begin(step: 5, attempt: 0, partials: partials, sums: sums, now: .now)
    try late.receiveFromLeft(frame, now: now)
    #expect(late.counters.staleFrames == 1)
    late.abort()
    try late.receiveFromLeft(frame, now: now)
    #expect(late.nextToRight(now: now) == nil && late.nextToLeft() == nil && late.deadline == nil)
  }

  private func pair(_ gradients: Int, _ statistics: Int, _ settings: RingSettings) -> [RingSession] {
    (0..<2).map { position in
      let plan = RingPlan(
        size: 2, position: position, gradientCount: gradients, statisticCount: statistics, settings: settings)
      return RingSession(generation: 3, plan: plan, settings: settings)
    }
  }

  /// Carries all frames between two positions of a ring, until nothing is left to send.
  private func exchange(_ first: RingSession, _ second: RingSession, now: ContinuousClock.Instant = .now) throws {
    var isBusy = true
    while isBusy {
      isBusy = false
      for (from, to) in [(first, second), (second, first)] {
        while let frame = from.nextToRight(now: now)?.array {
          try to.receiveFromLeft(frame, now: now)
          isBusy = true
        }
        while let frame = from.nextToLeft()?.array {
          to.receiveFromRight(frame, now: now)
          isBusy = true
        }
      }
    }
  }

  @Test("what a neighbour has in memory is added from there; what it writes after its ring was aborted is not")
  func memory() throws {
    let settings = small(bucket: 100_000, chunk: 65_536)
    let values = 20_000
    var random = Philox(seed: 1, .selfTest)
    let now = ContinuousClock.now
    let partials = (0..<2).map { _ in randomVectors(values, 5, &random, shared: true) }
    let sums = (0..<2).map { _ in IntegerVectors(gradientCount: values, statisticCount: 5, shared: true) }
    let sessions = pair(values, 5, settings)
    for position in 0..<2 {
      try sessions[position].begin(step: 0, attempt: 0, partials: partials[position], sums: sums[position], now: now)
    }
    try exchange(sessions[0], sessions[1])
    #expect(sessions.allSatisfy { $0.isReadByRight })
    for session in sessions { try session.startAll() }
    try exchange(sessions[0], sessions[1])
    let (expected, expectedStatistics) = exactSum(partials)
    for (session, sum) in zip(sessions, sums) {
      #expect(session.isReduced)
      #expect(sum.gradients.array == expected && sum.statistics.array == expectedStatistics)
      #expect(session.counters.rawBytes == 0 && session.counters.bytesSent < 10_000, "values went over the wire")
    }

    for position in 0..<2 {
      try sessions[position].begin(step: 1, attempt: 0, partials: partials[position], sums: sums[position], now: now)
      try sessions[position].startAll()
    }
    let frames = (0..<10).compactMap { _ in sessions[0].nextToRight(now: now)?.array }
    #expect(frames.count == 2, "the gradients and the statistics")
    sessions[0].abort()
    partials[0].zero()
    for frame in frames { try sessions[1].receiveFromLeft(frame, now: now) }
    #expect(!sessions[1].isReduced && sessions[1].progress?.waiting == .chunk(bucket: 0, hop: 0, position: 0))
  }

  @Test("a neighbour whose memory cannot be read sends what is in it")
  func noMemory() throws {
    let settings = small(bucket: 100, chunk: 8)
    var random = Philox(seed: 1, .selfTest)
    let partials = (0..<2).map { randomVectors(64, 2, &random, shared: $0 == 0) }
    let sums = (0..<2).map { IntegerVectors(gradientCount: 64, statisticCount: 2, shared: $0 == 0) }
    let sessions = pair(64, 2, settings)
    for position in 0..<2 {
      try sessions[position].begin(step: 0, attempt: 0, partials: partials[position], sums: sums[position], now: .now)
    }
    // As on another machine, where nothing of that name is found, or another thing.
    let offer = try #require(SharedMemoryTransport.Offer(partials[0], sums[0]))
    #expect(SharedMemoryTransport.Offer(decoding: Data(offer.encoded)) == offer)
    let plan = sessions[1].plan
    #expect(SharedMemoryTransport(offer, plan: plan) != nil)
    var bytes = offer.encoded
    bytes[16] ^= 1
    let other = try #require(SharedMemoryTransport.Offer(decoding: Data(bytes)))
    #expect(SharedMemoryTransport(other, plan: plan) == nil)
    let frame = try #require(sessions[0].nextToRight(now: .now)).array
    #expect(Frame.decode(FrameMessage([Data(frame)]))?.kind == .memory)
    let stranger = Frame(kind: .memory, generation: 3, chunk: 1)
    let sealed = bytes.withUnsafeBytes { stranger.bytes(payload: $0) }
    sealed.seal(sequence: 0)
    try sessions[1].receiveFromLeft(sealed.array, now: .now)
    for session in sessions { try session.startAll() }
    try exchange(sessions[0], sessions[1])
    #expect(sessions.allSatisfy { $0.isReduced && !$0.isReadByRight })
    #expect(sums[1].gradients.array == exactSum(partials).0 && sums[0].gradients.array == exactSum(partials).0)
  }

  @Test("a frame without acknowledgement is sent again when its time is up, then less and less often")
  func patience() throws {
    let settings = small(bucket: 100, chunk: 8)
    var random = Philox(seed: 1, .selfTest)
    let plan = RingPlan(size: 2, position: 0, gradientCount: 8, statisticCount: 0, settings: settings)
    let session = RingSession(generation: 1, plan: plan, settings: settings)
    let sums = IntegerVectors(gradientCount: 8, statisticCount: 0)
    try session.begin(step: 0, attempt: 0, partials: randomVectors(8, 0, &random), sums: sums, now: .now)
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
      try session.begin(step: 0, attempt: 0, partials: partials, sums: sums, now: .now)
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
