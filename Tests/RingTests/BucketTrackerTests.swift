import Testing

@testable import Ring

@Suite struct BucketTrackerTests {
  /// Tensors of 3, 0, 4, 9 and 1 elements in buckets of 5: elements 0-4, 5-9, 10-14, 15-16.
  private func tracker() -> BucketTracker {
    BucketTracker(tensors: [0..<3, 3..<3, 3..<7, 7..<16, 16..<17], bucketValues: 5)
  }

  @Test("buckets hold all values, each as many as all before it, from 65,536 up to what is wanted")
  func sizes() {
    let counts = RingPlan.buckets(of: 1_500_000, 1 << 19).map(\.count)
    #expect(counts == [65_536, 65_536, 131_072, 262_144, 524_288, 451_424])
    for (count, wanted) in [(0, 1), (1, 1), (7, 3), (65_537, 1 << 20), (200_000, 70_000), (25_480_000, 1 << 20)] {
      let buckets = RingPlan.buckets(of: count, wanted)
      #expect(buckets.flatMap { [$0.lowerBound, $0.upperBound] }.dropFirst().dropLast().allSatisfy { $0 > 0 })
      #expect(zip(buckets, buckets.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
      #expect(buckets.last?.upperBound ?? 0 == count && buckets.first?.lowerBound ?? 0 == 0)
      #expect(buckets.allSatisfy { $0.count <= wanted })
    }
  }

  @Test("a bucket is complete once all lanes have added all tensors that reach into it")
  func completion() {
    let tracker = tracker()
    tracker.reset()
    tracker.expect(lanes: 2)
    for tensor in [4, 3, 2, 1, 0] { #expect(!tracker.added(tensor)) }
    #expect(tracker.takeReady().isEmpty)
    #expect(!tracker.added(4))
    #expect(tracker.added(3))
    #expect(tracker.takeReady() == [2, 3])
    #expect(tracker.added(2) && tracker.takeReady() == [1])
    #expect(!tracker.added(1))
    #expect(tracker.added(0) && tracker.takeReady() == [0])
    #expect(tracker.takeReady().isEmpty)
  }

  @Test("more lanes reopen what was complete; what is complete already is told anew")
  func moreLanes() {
    let tracker = tracker()
    tracker.reset()
    tracker.expect(lanes: 1)
    for tensor in 0..<5 { _ = tracker.added(tensor) }
    #expect(tracker.takeReady().sorted() == [0, 1, 2, 3])
    tracker.expect(lanes: 1)
    #expect(tracker.takeReady() == [0, 1, 2, 3])
    tracker.expect(lanes: 2)
    #expect(tracker.takeReady().isEmpty)
    #expect(!tracker.added(4) && tracker.added(3))
    #expect(tracker.takeReady().sorted() == [2, 3])
    tracker.reset()
    tracker.expect(lanes: 0)
    #expect(tracker.takeReady().isEmpty)
  }
}
