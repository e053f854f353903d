import Shared
import Testing
import Wire

@testable import CoordinatorCore

/// Drives a membership by hand: what it sends is looked at, what workers would answer is passed in.
@Suite struct MembershipTests {
  private let worker = (0..<4).map { WorkerIdentity(rank: $0, incarnation: UInt64(100 + $0)) }
  private let digest = Digest128(high: 1, low: 2)

  private func hello(threads: Int = 1, kernel: String = "a") -> Hello {
    Hello(host: "h", pid: 1, threads: threads, endpoint: "tcp://e", fingerprint: ["kernel": kernel])
  }

  private func membership(ranks: Int, checkpoint: UInt64? = nil) -> Membership {
    Membership(
      .init(ranks: Array(0..<ranks), lanes: 4, lastStep: 100, joinWindow: .seconds(10), evictAfter: .seconds(3)),
      past: .init(checkpoint: checkpoint))
  }

  private func record(_ step: UInt64) -> CommitRecord {
    CommitRecord(
      generation: 1, step: step, attempt: 0, digest: digest, weights: digest, after: digest, loss: 0, top1: 0, top5: 0,
      clips: 1, learningRate: 0, skipped: false,
      share: .init(lanes: []))
  }

  private func generation(_ actions: [Membership.Action]) -> Generation? {
    for case .begin(let generation, _, _) in actions { return generation }
    return nil
  }

  /// Takes `membership` through the making of its first generation.
  private func start(_ membership: inout Membership, ranks: Int) -> Generation? {
    for rank in 0..<ranks { _ = membership.hello(worker[rank], hello(), at: .zero) }
    for rank in 0..<ranks { _ = membership.reported(worker[rank], StateReport(generation: 0, next: nil), at: .zero) }
    for rank in 0..<ranks { _ = membership.reported(worker[rank], StateReport(generation: 1, next: nil), at: .zero) }
    var last: [Membership.Action] = []
    for rank in 0..<ranks {
      last = membership.prepared(worker[rank], generation: 1, step: 0, weights: digest, at: .zero)
    }
    return generation(last)
  }

  @Test("the first generation starts at step 0 with every lane once")
  func first() throws {
    var m = membership(ranks: 3)
    let generation = try #require(start(&m, ranks: 3))
    #expect(generation.startStep == 0)
    #expect(generation.members.flatMap(\.lanes) == [0, 1, 2, 3])
    #expect(m.isRunning)
  }

  @Test("after a death the survivors redo the step, and the lanes are all theirs")
  func death() throws {
    var m = membership(ranks: 3)
    _ = start(&m, ranks: 3)
    _ = m.committed(record(4), by: worker[0], recorded: 5, at: .zero)
    let actions = m.lost(worker[1], .dead, reason: "killed", at: .zero)
    #expect(actions.contains(.launch(rank: 1)))
    #expect(sent(actions).filter { $0.1 == .halt(generation: 2) }.map(\.0.rank) == [0, 2])
    _ = m.reported(worker[0], StateReport(generation: 2, next: 5), at: .zero)
    let resolved = m.reported(
      worker[2], StateReport(generation: 2, next: 5, vote: .init(generation: 1, attempt: 0)), at: .zero)
    #expect(sources(resolved) == [0: .own(skipping: false), 2: .own(skipping: false)])
    _ = m.prepared(worker[0], generation: 2, step: 5, weights: digest, at: .zero)
    let begun = m.prepared(worker[2], generation: 2, step: 5, weights: digest, at: .zero)
    #expect(try #require(generation(begun)).members.flatMap(\.lanes) == [0, 1, 2, 3])
  }

  @Test("when one survivor has applied the step, the others roll forward")
  func rollForward() {
    var m = membership(ranks: 3)
    _ = start(&m, ranks: 3)
    _ = m.lost(worker[1], .dead, reason: "killed", at: .zero)
    _ = m.reported(worker[0], StateReport(generation: 2, next: 6), at: .zero)
    _ = m.reported(worker[2], StateReport(generation: 2, next: 5, vote: .init(generation: 1, attempt: 0)), at: .zero)
    #expect(m.phase.description == "preparing step 6")
  }

  @Test("when only the dead rank's record shows the step, all survivors roll forward")
  func rollForwardByRecord() {
    var m = membership(ranks: 2)
    _ = start(&m, ranks: 2)
    _ = m.committed(record(5), by: worker[0], recorded: 6, at: .zero)
    _ = m.lost(worker[0], .dead, reason: "killed", at: .zero)
    var other = m
    _ = m.reported(
      worker[1], StateReport(generation: 2, next: 5, vote: .init(generation: 1, attempt: 0)), at: .zero)
    #expect(m.phase.description == "preparing step 6")
    // A sum of another attempt is another sum.
    _ = other.reported(
      worker[1], StateReport(generation: 2, next: 5, vote: .init(generation: 1, attempt: 1)), at: .zero)
    #expect(other.phase.description != "preparing step 6")
  }

  @Test("a newcomer waits for a boundary, then gets the state from a peer")
  func newcomer() throws {
    var m = membership(ranks: 1)
    _ = start(&m, ranks: 1)
    _ = m.hello(worker[1], hello(), at: .zero)
    let asked = m.reported(worker[1], StateReport(generation: 0, next: nil), at: .zero)
    #expect(sent(asked).map(\.1) == [.pulse([Directive(sequence: 1, kind: .reconfigure)])])
    let halted = m.reported(worker[0], StateReport(generation: 1, next: 7), at: .zero)
    #expect(sent(halted).map(\.0.rank) == [0, 1])
    _ = m.reported(worker[0], StateReport(generation: 2, next: 7), at: .zero)
    let resolved = m.reported(worker[1], StateReport(generation: 2, next: nil), at: .zero)
    #expect(sources(resolved) == [0: .own(skipping: false)])
    // A peer's state comes without the records that led to it: they must be here first.
    #expect(m.prepared(worker[0], generation: 2, step: 7, weights: digest, at: .zero).isEmpty)
    let transferred = m.committed(record(6), by: worker[0], recorded: 7, at: .zero)
    #expect(sources(transferred) == [1: .peer(endpoint: "tcp://e")])
    let begun = m.prepared(worker[1], generation: 2, step: 7, weights: digest, at: .zero)
    #expect(try #require(generation(begun)).members.map(\.lanes) == [[0, 1], [2, 3]])
  }

  @Test("when nobody is left, replacements continue from the checkpoint and the journal is rolled back")
  func allDead() {
    var m = membership(ranks: 1)
    _ = start(&m, ranks: 1)
    m.position.wroteCheckpoint(20)
    _ = m.committed(record(24), by: worker[0], recorded: 25, at: .zero)
    _ = m.lost(worker[0], .dead, reason: "killed", at: .zero)
    #expect(m.phase == .gathering)
    let again = WorkerIdentity(rank: 0, incarnation: 7)
    _ = m.hello(again, hello(), at: .zero)
    _ = m.reported(again, StateReport(generation: 0, next: nil), at: .zero)
    let resolved = m.reported(again, StateReport(generation: 2, next: nil), at: .zero)
    #expect(resolved.contains(.rollBack(to: 20)))
    #expect(sources(resolved) == [0: .coordinator])
    #expect(m.phase.description == "preparing step 20")
  }

  @Test("a silent worker is evicted, one that is heard is not")
  func eviction() {
    var m = membership(ranks: 2)
    _ = start(&m, ranks: 2)
    _ = m.heartbeat(worker[0], Progress(), at: .seconds(3))
    let actions = m.tick(at: .seconds(4))
    #expect(actions.contains(.left(worker[1], reason: "no heartbeat for 3 s")))
    #expect(m.isKnown(worker[0]))
  }

  @Test("a second process with a live rank is refused with the reason; a different machine too")
  func refusals() {
    var m = membership(ranks: 2)
    _ = m.hello(worker[0], hello(), at: .zero)
    let second = WorkerIdentity(rank: 0, incarnation: 9)
    #expect(m.hello(second, hello(), at: .milliseconds(10)).isEmpty)
    _ = m.heartbeat(worker[0], Progress(), at: .milliseconds(250))
    let twin = m.hello(second, hello(), at: .seconds(1))
    guard case .dismiss(let reason, false)? = sent(twin).first?.1 else {
      Issue.record("the twin was not refused")
      return
    }
    #expect(reason.contains("rank 0 is taken"))
    let odd = m.hello(worker[1], hello(kernel: "b"), at: .zero)
    guard case .dismiss(let why, false)? = sent(odd).first?.1 else {
      Issue.record("the odd machine was not refused")
      return
    }
    #expect(why.contains("kernel is 'b'"))
  }

  @Test("a stop takes effect when all are at a boundary, and a checkpoint is waited for before a death stops mattering")
  func stop() {
    var m = membership(ranks: 2)
    _ = start(&m, ranks: 2)
    #expect(
      sent(m.stop(at: .zero)).map(\.1) == Array(repeating: .pulse([Directive(sequence: 1, kind: .stop)]), count: 2))
    _ = m.reported(worker[0], StateReport(generation: 1, next: 9, stopped: true), at: .zero)
    _ = m.reported(worker[1], StateReport(generation: 1, next: 9, stopped: true), at: .zero)
    #expect(m.phase == .stopped(next: 9))
    _ = m.lost(worker[0], .dead, reason: "killed", at: .zero)
    #expect(m.phase.description == "halting")
  }

  @Test(
    "lanes are shared in proportion to weights, each once",
    arguments: [[1], [1, 1], [2, 1], [1, 1, 1], [5, 1, 1, 1]])
  func shares(weights: [Int]) {
    for lanes in 0...9 {
      let shares = laneShares(lanes: lanes, weights: weights)
      #expect(shares.count == weights.count)
      #expect(shares.flatMap { $0 } == Array(0..<lanes))
    }
  }
}
