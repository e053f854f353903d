import CoordinatorCore
import Shared
import Testing
import Wire

@testable import Coordinator

@Suite struct StepLedgerTests {
  private func step(_ number: UInt64, backward: Double) -> CommittedStep {
    let digest = Digest128(high: 1, low: 1)
    var times = StepTimes()
    (times.forward, times.backward, times.overlap) = (0.25, backward, 0.125)
    let record = CommitRecord(
      generation: 1, step: number, attempt: 0, digest: digest, weights: digest, after: digest, loss: 0, top1: 0,
      top5: 0,
      clips: 1, learningRate: 0, skipped: false, share: .init(lanes: [0, 1], times: times))
    return CommittedStep(record: record, shares: [3: record.share, 1: .init(lanes: [2])])
  }

  @Test(
    "a line a worker: means, every ten seconds and at an end; what lies beside is not counted")
  func lines() {
    var ledger = StepLedger()
    ledger.add(step(0, backward: 0.5))
    ledger.add(step(1, backward: 1))
    #expect(ledger.lines(at: .seconds(9), endsEpoch: false).isEmpty)
    let lines = ledger.lines(at: .seconds(10), endsEpoch: false)
    #expect(lines.count == 2 && lines[0].hasPrefix("  worker 1: 1.0 lanes in 0.000 s"))
    #expect(lines[1].hasPrefix("  worker 3: 2.0 lanes in 1.000 s: clips 0.000  forward 0.250  backward 0.750"))
    #expect(lines[1].hasSuffix("(in the ring meanwhile 0.125)"))
    ledger.add(step(2, backward: 0))
    #expect(ledger.lines(at: .seconds(11), endsEpoch: false).isEmpty)
    #expect(ledger.lines(at: .seconds(12), endsEpoch: true).count == 2)
    #expect(ledger.lines(at: .seconds(30), endsEpoch: true).isEmpty)
  }
}
