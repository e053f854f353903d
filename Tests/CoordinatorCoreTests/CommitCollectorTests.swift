import Shared
import Testing
import Wire

@testable import CoordinatorCore

@Suite struct CommitCollectorTests {
  private func record(_ step: UInt64, digest: UInt64 = 0) -> CommitRecord {
    CommitRecord(
      generation: 1, step: step, attempt: 0, digest: Digest128(high: digest, low: step),
      weights: Digest128(high: 0, low: step), after: Digest128(high: 0, low: step + 1), loss: 1, top1: 1, top5: 2,
      clips: 4, learningRate: 0.1, skipped: false,
      share: .init(lanes: [0], rawBytes: 10, wireBytes: 4))
  }

  private func generation(_ start: UInt64, ranks: Int) -> Generation {
    let members = (0..<ranks).map {
      Member(identity: WorkerIdentity(rank: $0, incarnation: 1), endpoint: "", lanes: [])
    }
    return Generation(number: 1, startStep: start, members: members)
  }

  @Test("a step leaves when all ranks reported it, in order, once")
  func order() throws {
    var collector = CommitCollector(next: 0)
    #expect(collector.begin(generation(0, ranks: 2)).isEmpty)
    #expect(try collector.take(record(0), from: 0).isEmpty)
    #expect(try collector.take(record(1), from: 0).isEmpty)
    #expect(try collector.take(record(1), from: 1).isEmpty)
    let left = try collector.take(record(0), from: 1)
    #expect(left.map(\.record.step) == [0, 1])
    #expect(left.first?.rawBytes == 20)
    #expect(try collector.take(record(1), from: 1).isEmpty)
  }

  @Test("when a generation ends, what one rank alone reported leaves too")
  func endOfGeneration() throws {
    var collector = CommitCollector(next: 0)
    _ = collector.begin(generation(0, ranks: 2))
    _ = try collector.take(record(0), from: 0)
    #expect(collector.begin(generation(1, ranks: 1)).map(\.record.step) == [0])
    #expect(try collector.take(record(1), from: 0).map(\.record.step) == [1])
  }

  @Test("a rollback drops the steps from there on, and none before; a hole in what was reported is seen")
  func rollBack() throws {
    var collector = CommitCollector(next: 5)
    _ = collector.begin(generation(5, ranks: 2))
    for step in [5, 6, 8] as [UInt64] { _ = try collector.take(record(step), from: 0) }
    #expect(collector.reported == 7)
    collector.rollBack(to: 6)
    #expect(collector.reported == 6 && collector.next == 5)
    #expect(collector.release(below: 6).map(\.record.step) == [5])
    collector.rollBack(to: 2)
    #expect(collector.next == 2)
  }

  @Test("two different sums for one step stop the run")
  func conflict() throws {
    var collector = CommitCollector(next: 0)
    _ = collector.begin(generation(0, ranks: 2))
    _ = try collector.take(record(0), from: 0)
    #expect(throws: SharedError.self) { try collector.take(record(0, digest: 9), from: 1) }
  }
}
