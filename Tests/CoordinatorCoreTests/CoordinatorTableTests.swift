// What a coordinator prints about itself.
import Shared
import Testing
import Wire

@testable import CoordinatorCore

@Suite struct CoordinatorTableTests {
  private let worker = (0..<2).map { WorkerIdentity(rank: $0, incarnation: UInt64(100 + $0)) }
  private let digest = Digest128(high: 0x0123_4567_89AB_CDEF, low: 2)

  private func give(_ machine: inout CoordinatorMachine, _ message: WorkerMessage, from rank: Int, at now: Duration) {
    let sender = Sender(worker: worker[rank], channel: .control(0))
    _ = machine.step(.message(message, payload: nil, from: sender), at: now)
  }

  /// Two workers are ready, and have reported their states for the first generation.
  private func preparing() -> CoordinatorMachine {
    var machine = CoordinatorMachine(CoordinatorMachine.Settings(ranks: [0, 1], lanes: 4, lastStep: 100))
    _ = machine.step(.started(vanished: []), at: .zero)
    let hello = Hello(host: "h", pid: 1, threads: 1, endpoint: "tcp://127.0.0.1:1", fingerprint: [:])
    for rank in 0..<2 { give(&machine, .hello(hello), from: rank, at: .zero) }
    for number in 0..<2 as Range<UInt32> {
      for rank in 0..<2 { give(&machine, .standing(StateReport(generation: number, next: nil)), from: rank, at: .zero) }
    }
    return machine
  }

  @Test("a line for each worker: what it computes, how long it has been silent, and what is wrong with it")
  func running() {
    var machine = preparing()
    for rank in 0..<2 {
      give(&machine, .prepared(generation: 1, step: 0, weights: digest), from: rank, at: .zero)
    }
    var progress = Progress()
    (progress.generation, progress.phase, progress.lanesDone) = (1, .computing, 1)
    give(&machine, .heartbeat(progress), from: 0, at: .seconds(2))
    _ = machine.step(.tick, at: .milliseconds(2500))
    #expect(
      machine.description == """
        phase       running
        generation  1 from step 0, ring 0 → 1
        steps       committed 0, recorded 0, journaled 0
        checkpoint  none
        rank  incarnation  phase      step  lanes  done  silence  state  remarks
        0     100          computing  0     0 1    1     0.5 s    -
        1     101          idle       0     2 3    0     2.5 s    -      suspected
        """)
  }

  @Test("a generation that is being made: why, and whose state is ready")
  func making() {
    var machine = preparing()
    give(&machine, .prepared(generation: 1, step: 0, weights: digest), from: 1, at: .zero)
    #expect(
      machine.description == """
        phase       preparing step 0
        making      1: start
        steps       committed 0, recorded 0, journaled 0
        checkpoint  none
        rank  incarnation  phase  step  lanes  done  silence  state     remarks
        0     100          idle   0     -      0     0 s      -         no member
        1     101          idle   0     -      0     0 s      01234567  no member
        """)
  }
}
