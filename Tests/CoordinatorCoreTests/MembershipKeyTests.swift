// What belongs to an older generation is not believed.
import Shared
import Testing
import Wire

@testable import CoordinatorCore

@Suite struct MembershipKeyTests {
  private let worker = (0..<2).map { WorkerIdentity(rank: $0, incarnation: UInt64(100 + $0)) }
  private let digest = Digest128(high: 1, low: 2)

  /// Two workers, of which one died while generation 1 ran: generation 2 waits for the other's report.
  private func halting() -> Membership {
    var m = Membership(
      .init(ranks: [0, 1], lanes: 4, lastStep: 100, joinWindow: .seconds(10), evictAfter: .seconds(3)))
    let hello = Hello(host: "h", pid: 1, threads: 1, endpoint: "tcp://e", fingerprint: [:])
    for one in worker { _ = m.hello(one, hello, at: .zero) }
    for number in [UInt32(0), 1] {
      for one in worker { _ = m.reported(one, StateReport(generation: number, next: nil), at: .zero) }
    }
    for one in worker { _ = m.prepared(one, generation: 1, step: 0, weights: digest, at: .zero) }
    #expect(m.isRunning)
    _ = m.lost(worker[1], .dead, reason: "killed", at: .zero)
    return m
  }

  @Test("a late state report for an older generation decides nothing")
  func report() {
    var m = halting()
    #expect(m.reported(worker[0], StateReport(generation: 1, next: 3), at: .zero).isEmpty)
    #expect(m.phase.description == "halting")
    _ = m.reported(worker[0], StateReport(generation: 2, next: 7), at: .zero)
    #expect(m.phase.description == "preparing step 7")
  }

  @Test("a late answer that was prepared for an older generation begins nothing")
  func prepared() {
    var m = halting()
    _ = m.reported(worker[0], StateReport(generation: 2, next: 0), at: .zero)
    #expect(m.prepared(worker[0], generation: 1, step: 0, weights: digest, at: .zero).isEmpty)
    #expect(m.phase.description == "preparing step 0")
    _ = m.prepared(worker[0], generation: 2, step: 0, weights: digest, at: .zero)
    #expect(m.isRunning)
  }
}
