// What a warm exchange asks of malloc, counted for real on the thread that moves the ring.
import AllocationCounter
import Recipes
import Shared
import Testing

@testable import Ring

@Suite struct AllocationTests {
  @Test(
    "a warm exchange allocates its frames, and little besides",
    arguments: [(ExchangeRecipe.Codec.none, 9_000_000), (.lz4, 4_000_000)])
  func exchange(_ codec: ExchangeRecipe.Codec, _ mostBytes: Int) throws {
    let values = 1 << 20
    var settings = RingSettings()
    settings.codec = codec
    let sessions = (0..<2).map { position in
      RingSession(
        generation: 1,
        plan: RingPlan(size: 2, position: position, gradientCount: values, statisticCount: 3, settings: settings),
        settings: settings)
    }
    var random = Philox(seed: 3, .selfTest)
    let partials = (0..<2).map { _ in randomVectors(values, 3, &random) }
    let sums = (0..<2).map { _ in IntegerVectors(gradientCount: values, statisticCount: 3) }
    let now = ContinuousClock.now
    var (calls, bytes) = (0, 0)
    func counting<Result>(_ body: () throws -> Result) rethrows -> Result {
      let before = tamring_thread_allocations()
      defer {
        let after = tamring_thread_allocations()
        (calls, bytes) = (calls + Int(after.calls - before.calls), bytes + Int(after.bytes - before.bytes))
      }
      return try body()
    }
    func step(_ number: UInt64) throws {
      (calls, bytes) = (0, 0)
      for (position, session) in sessions.enumerated() {
        try counting {
          try session.begin(step: number, attempt: 0, partials: partials[position], sums: sums[position], now: .now)
          for bucket in session.plan.buckets.indices { try session.start(bucket: bucket) }
        }
      }
      while !sessions.allSatisfy(\.isReduced) {
        for (position, session) in sessions.enumerated() {
          if let frame = counting({ session.nextToRight(now: now) })?.array {
            try counting { try sessions[1 - position].receiveFromLeft(frame, now: now) }
          }
          if let frame = counting({ session.nextToLeft() })?.array {
            counting { sessions[1 - position].receiveFromRight(frame, now: now) }
          }
        }
      }
    }
    try step(0)
    try step(1)
    #expect(sums[0].gradients.array == exactSum(partials).0)
    #expect(tamring_thread_allocations().calls > 1000, "the counter stands before malloc")
    #expect(calls < 700)
    #expect(bytes < mostBytes)
  }
}
