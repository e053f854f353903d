// The threads of a lane: all is done once, by the time the call returns, however fast or slow calls follow one another.
import Foundation
import Synchronization
import Testing

@testable import BLVNet

@Suite struct TeamTests {
  @Test("parts are in runs of the unit, and together all there is", arguments: [1, 2, 3, 8], [0, 1, 15, 16, 17, 1000])
  func parts(_ threads: Int, _ count: Int) {
    let team = Team(threads)
    for unit in [1, 16] {
      let found = Mutex<[Int: Range<Int>]>([:])
      team.part(count, by: unit) { range, thread in
        found.withLock { all in
          #expect(all[thread] == nil)
          all[thread] = range
        }
      }
      let ranges = found.withLock { all in all.sorted { $0.key < $1.key }.map(\.value) }
      #expect(ranges.flatMap { Array($0) } == Array(0..<count))
      for range in ranges {
        #expect(range.lowerBound % unit == 0 && (range.upperBound % unit == 0 || range.upperBound == count))
      }
      if unit == 1 { #expect(ranges.allSatisfy { team.parts(count).contains($0.count) }) }
    }
  }

  @Test("each thread runs once a call, whether the others are still looking or have fallen asleep")
  func calls() {
    let team = Team(3)
    let counts = Mutex([0, 0, 0])
    for call in 1...3000 {
      team.run { thread in
        // The caller, who waits, and the other thread fall asleep.
        if thread == 2, call % 100 == 50 { while team.asleep < 2 { sched_yield() } }
        counts.withLock { $0[thread] += 1 }
      }
      #expect(counts.withLock { $0 } == [call, call, call])
      // All but the caller do.
      if call % 100 == 0 { while team.asleep < 2 { sched_yield() } }
    }
  }
}
