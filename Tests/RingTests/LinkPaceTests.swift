import Testing

@testable import Ring

@Suite struct LinkPaceTests {
  /// Steps of a link on which `bytes` of values take so many seconds, compressed and plain.
  private func steps(_ count: Int, _ pace: inout LinkPace, bytes: Int = 1 << 20, compressed: Double, plain: Double) {
    var now = ContinuousClock.now
    for _ in 0..<count {
      pace.begins(now)
      pace.encoded(bytes)
      now += .seconds(pace.compresses ? compressed : plain)
      // The last acknowledgement may come after the step is over.
      if bytes % 2 == 0 {
        pace.rests(now)
        // Waiting for others is not the link's.
        now += .seconds(9)
      }
      pace.endStep(now)
    }
  }

  @Test("each way is tried three times, then the faster one is kept, until it is time to try again")
  func decision() throws {
    for (compressed, plain, bytes) in [(0.2, 0.1, 1 << 20), (0.1, 0.2, 1 << 20), (0.1, 0.2, 1 << 20 | 1)] {
      var pace = LinkPace(.auto)
      var tried: [Bool] = []
      for _ in 0..<6 {
        #expect(pace.choice == nil)
        tried.append(pace.compresses)
        steps(1, &pace, bytes: bytes, compressed: compressed, plain: plain)
      }
      #expect(tried.count { $0 } == 3)
      let choice = try #require(pace.choice)
      #expect(choice.compresses == (compressed < plain) && pace.compresses == choice.compresses)
      #expect(abs(choice.plain * plain - Double(bytes)) < 1)
      steps(1000, &pace, compressed: compressed, plain: plain)
      #expect(pace.choice == choice)
      // The link has changed.
      steps(6, &pace, compressed: plain, plain: compressed)
      #expect(pace.choice?.compresses == (plain < compressed))
    }
  }

  @Test("a setting is kept whatever is measured, and steps of few bytes decide nothing")
  func settings() {
    var always = LinkPace(.lz4)
    steps(20, &always, compressed: 5, plain: 1)
    var never = LinkPace(.none)
    steps(20, &never, compressed: 1, plain: 5)
    #expect(always.compresses && !never.compresses && always.choice == nil && never.choice == nil)
    var small = LinkPace(.auto)
    steps(20, &small, bytes: 1000, compressed: 5, plain: 1)
    #expect(small.compresses && small.choice == nil)
  }
}
