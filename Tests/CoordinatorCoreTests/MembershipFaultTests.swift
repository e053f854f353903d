import Shared
import Testing
import Wire

@testable import CoordinatorCore

/// Who is lost, who comes back, and what happens to the step in flight.
@Suite struct MembershipFaultTests {
  private let worker = (0..<4).map { WorkerIdentity(rank: $0, incarnation: UInt64(100 + $0)) }
  private let digest = Digest128(high: 1, low: 2)

  private func hello(past: Hello.Past? = nil) -> Hello {
    Hello(host: "h", pid: 1, threads: 1, endpoint: "tcp://e", fingerprint: [:], past: past)
  }

  private func past(_ number: UInt32, next: UInt64) -> Hello.Past {
    Hello.Past(run: "r", number: number, next: next, acknowledged: 0)
  }

  private func settings(_ ranks: Int) -> Membership.Settings {
    Membership.Settings(
      ranks: Array(0..<ranks), lanes: 6, lastStep: 1000, joinWindow: .seconds(10), evictAfter: .seconds(3),
      returnAfter: .seconds(60), hangAfter: .seconds(20), run: "r")
  }

  private func record(_ step: UInt64, seconds: Double = 0, lanes: [Int] = []) -> CommitRecord {
    var times = StepTimes()
    times.forward = seconds
    return CommitRecord(
      generation: 1, step: step, attempt: 0, digest: digest, weights: digest, after: digest, loss: 0, top1: 0, top5: 0,
      clips: 1, learningRate: 0, skipped: false, share: .init(lanes: lanes, times: times))
  }

  private func directives(_ actions: [Membership.Action]) -> [Directive.Kind] {
    actions.compactMap { if case .directive(let directive) = $0 { directive.kind } else { nil } }
  }

  /// Answers for everybody, with all records, until the generation that is being made has begun.
  @discardableResult
  private func settle(
    _ m: inout Membership, next: UInt64, held: [Int: [Int]] = [:], lost: [Int: String] = [:],
    at now: Duration = .zero
  ) -> Generation? {
    m.position.received(recordsBelow: next)
    let number = m.number
    for rank in m.phase.participants {
      _ = m.reported(
        worker[rank], StateReport(generation: number, next: next, held: held[rank] ?? [], dataLost: lost[rank]), at: now
      )
    }
    for rank in m.phase.participants {
      _ = m.prepared(worker[rank], generation: m.number, step: next, weights: digest, at: now)
    }
    switch m.phase {
    case .running, .paused: return m.generation
    default: return nil
    }
  }

  private func begun(_ generation: Generation?) throws -> Generation { try #require(generation) }

  /// A membership in its first generation.
  private func running(_ ranks: Int) -> Membership {
    var m = Membership(settings(ranks))
    for rank in 0..<ranks { _ = m.hello(worker[rank], hello(), at: .zero) }
    for rank in 0..<ranks { _ = m.reported(worker[rank], StateReport(generation: 0, next: nil), at: .zero) }
    settle(&m, next: 0)
    return m
  }

  private func beat(_ m: inout Membership, _ ranks: Range<Int>, at now: Duration) {
    for rank in ranks { _ = m.heartbeat(worker[rank], m.detector[rank]?.progress ?? Progress(), at: now) }
  }

  // MARK: The step in flight

  @Test("survivors keep the lanes that they hold, and only the lanes that died are given out")
  func partialLanes() throws {
    var m = running(3)
    #expect(m.generation?.members.map(\.lanes) == [[0, 1], [2, 3], [4, 5]])
    _ = m.lost(worker[1], .dead, reason: "killed", at: .zero)
    let made = try begun(settle(&m, next: 7, held: [0: [0, 1], 2: [4, 5]]))
    #expect(made.members.map(\.lanes) == [[0, 1, 2], [3, 4, 5]])
    #expect(!made.computesAnew)
  }

  @Test("the lanes of a plan are each lane once, whatever is held, twice or beyond the end")
  func anyPlan() {
    for held in [[[], []], [[0, 1, 2, 3, 4, 5], []], [[3], [3, 4]], [[9], [5]]] as [[[Int]]] {
      let plan = lanePlan(lanes: 6, weights: [1, 1], held: held, avoided: [2: [0], 5: [0, 1]])
      #expect(plan.lanes.flatMap { $0 }.sorted() == Array(0..<6), "\(held)")
    }
    #expect(!lanePlan(lanes: 6, weights: [1, 1], held: [[0, 1, 2, 3], []]).isEven)
  }

  @Test("sums that are not believed are recomputed; the second time at one step it is no accident")
  func recompute() throws {
    var m = running(2)
    _ = m.committed(record(4), by: worker[0], recorded: 5, at: .zero)
    #expect(m.recompute("checksums", at: .zero) != nil)
    let made = try begun(settle(&m, next: 5, held: [0: [0, 1, 2, 3]]))
    #expect(made.computesAnew && made.members.map(\.lanes) == [[0, 1, 2], [3, 4, 5]])
    #expect(m.recompute("checksums", at: .zero) == nil)
  }

  @Test("where nobody can be believed, all return to the newest checkpoint")
  func restore() throws {
    var m = running(2)
    m.position.wroteCheckpoint(3)
    _ = m.committed(record(4), by: worker[0], recorded: 5, at: .zero)
    #expect(m.restore("states differ", at: .zero) != nil)
    _ = m.reported(worker[0], StateReport(generation: 2, next: 5), at: .zero)
    let resolved = m.reported(worker[1], StateReport(generation: 2, next: 5), at: .zero)
    #expect(resolved.contains(.rollBack(to: 3)))
    #expect(sources(resolved) == [0: .coordinator, 1: .coordinator])
  }

  @Test("one whose state is not the journal's is fenced")
  func oddState() {
    var m = running(2)
    _ = m.committed(record(4), by: worker[0], recorded: 5, at: .zero)
    _ = m.reconfigure("a test", at: .zero)
    for rank in 0..<2 { _ = m.reported(worker[rank], StateReport(generation: 2, next: 5), at: .zero) }
    _ = m.prepared(worker[0], generation: 2, step: 5, weights: Digest128(high: 9, low: 9), at: .zero)
    let actions = m.prepared(worker[1], generation: 2, step: 5, weights: digest, at: .zero)
    #expect(actions.contains { if case .kill(worker[0], _) = $0 { true } else { false } })
    #expect(sent(m.hello(worker[0], hello(past: past(2, next: 5)), at: .zero)).map(\.0) == [worker[0]])
    #expect(!m.isKnown(worker[0]))
  }

  @Test("a clip that cannot be decoded is tried by every worker that reads; then the step goes without it")
  func clips() throws {
    var m = running(3)
    let clip = ClipExclusion(step: 0, lane: 1, clip: 17)
    let first = m.clipFailed(worker[0], clip, reason: "bad", at: .zero)
    #expect(!first.contains(.exclude(clip, reason: "bad")))
    let made = try begun(settle(&m, next: 0, held: [0: [0], 1: [2, 3], 2: [4, 5]]))
    #expect(!made.members[0].lanes.contains(1) && made.exclusions.isEmpty)
    let next = try #require(made.members.first { $0.lanes.contains(1) }?.identity)
    #expect(!m.clipFailed(next, clip, reason: "bad too", at: .zero).contains(.exclude(clip, reason: "bad too")))
    let third = try begun(settle(&m, next: 0))
    let taker = try #require(third.members.first { $0.lanes.contains(1) }?.identity)
    #expect(![worker[0], next].contains(taker))
    let excluded = m.clipFailed(taker, clip, reason: "bad as well", at: .zero)
    #expect(excluded.contains(.exclude(clip, reason: "bad as well")))
    let last = try begun(settle(&m, next: 0))
    #expect(last.exclusions == [clip])
    // Whoever reports it all the same did not hear of it: a coordinator died after it had written it down.
    #expect(sent(m.clipFailed(taker, clip, reason: "again", at: .zero)).contains { $0.1 == .halt(generation: 5) })

    var alone = running(1)
    #expect(
      alone.clipFailed(worker[0], clip, reason: "bad", at: .zero).contains(
        .exclude(clip, reason: "bad")))
  }

  @Test("of two workers with different states nobody is evicted: both go back to the newest checkpoint")
  func noMajority() throws {
    var m = Membership(settings(2))
    for rank in 0..<2 { _ = m.hello(worker[rank], hello(), at: .zero) }
    for rank in 0..<2 { _ = m.reported(worker[rank], StateReport(generation: 0, next: nil), at: .zero) }
    for rank in 0..<2 { _ = m.reported(worker[rank], StateReport(generation: 1, next: nil), at: .zero) }
    _ = m.prepared(worker[0], generation: 1, step: 0, weights: digest, at: .zero)
    let actions = m.prepared(
      worker[1], generation: 1, step: 0, weights: Digest128(high: 9, low: 9), at: .zero)
    #expect(sent(actions).map(\.1) == [.halt(generation: 2), .halt(generation: 2)])
    #expect(!actions.contains { if case .left = $0 { true } else { false } })
    #expect(m.restores)
  }

  @Test("a worker without data gets no lanes; with nobody that reads, training pauses, and goes on when somebody does")
  func dataLost() throws {
    var m = running(2)
    let halted = m.dataLost(worker[0], report: 1, reason: "gone", at: .zero)
    #expect(sent(halted).map(\.1) == [.halt(generation: 2), .halt(generation: 2)])
    let shared = try begun(settle(&m, next: 0, lost: [0: "gone"]))
    #expect(shared.members.map(\.lanes.count) == [0, 6] && !shared.pauses)
    _ = m.dataLost(worker[1], report: 1, reason: "gone too", at: .zero)
    let paused = try begun(settle(&m, next: 0, lost: [0: "gone", 1: "gone too"]))
    #expect(paused.pauses && m.phase == .paused(next: 0))
    // The checkpoint comes first.
    func journaled(_ actions: [Membership.Action]) -> Bool {
      actions.contains { if case .paused(0, _) = $0 { true } else { false } }
    }
    #expect(!journaled(m.tick(at: .milliseconds(200))))
    m.position.wroteCheckpoint(0)
    #expect(journaled(m.tick(at: .milliseconds(400))))
    var progress = Progress()
    progress.generation = 3
    progress.dataReport = 2
    var given = m
    let back = m.heartbeat(worker[1], progress, at: .milliseconds(600))
    #expect(sent(back).contains { $0.1 == .halt(generation: 4) })
    let resumed = try begun(settle(&m, next: 0, lost: [0: "gone"], at: .milliseconds(700)))
    #expect(!resumed.pauses && m.isRunning && m.pause == nil)
    // Or it ends, at the boundary that it stands at.
    let ended = given.tick(at: .seconds(700))
    #expect(ended.contains { if case .end(.ioError, _, atOnce: false) = $0 { true } else { false } })
  }

  @Test("a heartbeat from before a worker lost its data does not undo what the worker has said since")
  func staleHeartbeat() {
    var m = running(2)
    _ = m.dataLost(worker[0], report: 1, reason: "gone", at: .zero)
    let stale = m.heartbeat(worker[0], Progress(), at: .zero)
    #expect(m.workers[0]?.dataLost == "gone")
    #expect(!stale.contains { if case .report = $0 { true } else { false } })
    var fresh = Progress()
    fresh.dataReport = 2
    _ = m.heartbeat(worker[0], fresh, at: .zero)
    #expect(m.workers[0]?.dataLost == nil)
  }

  @Test("where nobody reads before the first step, the run ends at once")
  func noData() {
    var m = Membership(settings(2))
    for rank in 0..<2 { _ = m.hello(worker[rank], hello(), at: .zero) }
    let blind = StateReport(generation: 0, next: nil, dataLost: "no such folder")
    #expect(!m.reported(worker[0], blind, at: .zero).contains { if case .end = $0 { true } else { false } })
    let actions = m.reported(worker[1], blind, at: .zero)
    #expect(actions.contains { if case .end(.badData, _, atOnce: true) = $0 { true } else { false } })
  }

  // MARK: Away and back

  @Test("one that was silent comes back and gets a peer's state; one that does not is replaced")
  func away() throws {
    var m = running(2)
    for second in 1...4 {
      _ = m.tick(at: .seconds(second))
      beat(&m, 0..<1, at: .seconds(second))
    }
    #expect(!m.isKnown(worker[1]))
    #expect(m.phase.participants == [0])
    settle(&m, next: 5, at: .seconds(4))
    var other = m
    let back = m.hello(worker[1], hello(past: past(1, next: 3)), at: .seconds(20))
    #expect(directives(back) == [.reconfigure])
    _ = m.reported(worker[0], StateReport(generation: 2, next: 9), at: .seconds(20))
    _ = m.reported(worker[0], StateReport(generation: 3, next: 9), at: .seconds(20))
    _ = m.reported(worker[1], StateReport(generation: 3, next: 3), at: .seconds(20))
    _ = m.committed(record(8), by: worker[0], recorded: 9, at: .seconds(20))
    let transferred = m.prepared(worker[0], generation: 3, step: 9, weights: digest, at: .seconds(20))
    #expect(sources(transferred) == [1: .peer(endpoint: "tcp://e")])

    var replaced: [Membership.Action] = []
    for second in 5...70 {
      beat(&other, 0..<1, at: .seconds(second))
      replaced += other.tick(at: .seconds(second))
    }
    #expect(replaced.contains(.launch(rank: 1)))
    #expect(replaced.contains { if case .kill(worker[1], _) = $0 { true } else { false } })
  }

  @Test("one that is silent after its ssh client has ended is replaced at once")
  func launcherGone() {
    var m = running(2)
    #expect(m.ended(rank: 1).isEmpty)
    for second in 1...3 {
      #expect(!m.tick(at: .seconds(second)).contains(.launch(rank: 1)))
      beat(&m, 0..<1, at: .seconds(second))
    }
    #expect(m.tick(at: .seconds(4)).contains(.launch(rank: 1)))
  }

  @Test("of states that differ, none is given to a newcomer: where nothing tells which is right, all start anew")
  func wrongStateDoesNotSpread() {
    var (m, number) = resuming(next: 4)
    let wrong = Digest128(high: 9, low: 9)
    #expect(m.prepared(worker[1], generation: number, step: 4, weights: wrong, at: .zero).isEmpty)
    let actions = m.prepared(worker[0], generation: number, step: 4, weights: digest, at: .zero)
    #expect(sources(actions).isEmpty)
    #expect(m.number == number + 1)
    #expect((0..<3).allSatisfy { m.isKnown(worker[$0]) })
  }

  @Test("the state before step 0, which no record names, is made anew by all, whoever holds one")
  func initialState() {
    let (m, number) = resuming(next: 0)
    guard case .preparing(let preparation) = m.phase else { return #expect(Bool(false), "\(m.phase)") }
    #expect(m.number == number && preparation.transfers.mapValues(\.source) == [0: .initial, 1: .initial, 2: .initial])
  }

  /// Three workers, of which two hold the state before a step that no record has led to, and one holds none.
  private func resuming(next: UInt64) -> (Membership, UInt32) {
    var past = Membership.Past()
    past.next = next
    var m = Membership(settings(3), past: past)
    for rank in 0..<3 { _ = m.hello(worker[rank], hello(), at: .zero) }
    for rank in 0..<3 { _ = m.reported(worker[rank], StateReport(generation: 0, next: nil), at: .zero) }
    let number = m.number
    for rank in 0..<2 { _ = m.reported(worker[rank], StateReport(generation: number, next: next), at: .zero) }
    _ = m.reported(worker[2], StateReport(generation: number, next: nil), at: .zero)
    return (m, number)
  }

  @Test("one that comes back after its steps were rolled back must get another state, whatever it holds")
  func rolledBackMeanwhile() throws {
    var m = running(1)
    _ = m.committed(record(8), by: worker[0], recorded: 9, at: .zero)
    for second in 1...4 { _ = m.tick(at: .seconds(second)) }
    #expect(m.phase == .gathering)
    _ = m.hello(worker[1], hello(), at: .seconds(5))
    _ = m.reported(worker[1], StateReport(generation: 0, next: nil), at: .seconds(5))
    let resolved = m.reported(worker[1], StateReport(generation: 2, next: nil), at: .seconds(5))
    #expect(resolved.contains(.rollBack(to: 0)) && sources(resolved) == [1: .initial])
    _ = m.prepared(worker[1], generation: 2, step: 0, weights: digest, at: .seconds(5))
    _ = m.hello(worker[0], hello(past: past(1, next: 9)), at: .seconds(6))
    #expect(m.workers[0]?.isStale == true)
    #expect(m.committed(record(9), by: worker[0], recorded: 10, at: .zero).isEmpty && m.position.committed == 0)
    _ = m.reported(worker[1], StateReport(generation: 2, next: 2), at: .seconds(6))
    _ = m.reported(worker[1], StateReport(generation: 3, next: 2), at: .seconds(6))
    _ = m.reported(worker[0], StateReport(generation: 3, next: 9), at: .seconds(6))
    #expect(m.phase.description == "preparing step 2")
  }

  @Test("a newcomer for a taken rank gets it when its holder is silent, and is refused when it is heard")
  func claim() {
    var m = running(2)
    let next = WorkerIdentity(rank: 1, incarnation: 7)
    #expect(m.hello(next, hello(), at: .seconds(1)).isEmpty)
    let taken = m.hello(next, hello(), at: .seconds(2))
    #expect(taken.contains(.left(worker[1], reason: "silent, and another process has come for its rank")))
    #expect(m.hello(next, hello(), at: .seconds(3)).contains(.welcome(next)))
  }

  @Test("one that is asked to end goes at a boundary; the last holder of the state does not")
  func leaving() {
    var m = running(2)
    #expect(directives(m.leaving(worker[1], at: .zero)) == [.reconfigure])
    #expect(m.leaving(worker[0], at: .zero).isEmpty)
    _ = m.reported(worker[1], StateReport(generation: 1, next: 4), at: .zero)
    let actions = m.reported(worker[0], StateReport(generation: 1, next: 4), at: .zero)
    #expect(sent(actions).contains { $0 == (worker[1], .dismiss(reason: "it was asked to end", clean: true)) })
    #expect(m.phase.participants == [0])
  }

  // MARK: Failures

  @Test("a frozen worker that beats is hung, unless it waits for another")
  func hang() {
    var m = running(2)
    var busy = Progress()
    (busy.phase, busy.generation) = (.computing, 1)
    var waiting = Progress()
    (waiting.phase, waiting.generation, waiting.waitingFor) = (.reducing, 1, 0)
    var actions: [Membership.Action] = []
    for second in 1...25 {
      _ = m.heartbeat(worker[0], busy, at: .seconds(second))
      _ = m.heartbeat(worker[1], waiting, at: .seconds(second))
      actions += m.tick(at: .seconds(second))
    }
    #expect(actions.contains { if case .kill(worker[0], let why) = $0 { why.contains("hangs") } else { false } })
    #expect(m.isKnown(worker[1]) && !m.isKnown(worker[0]))
  }

  @Test("a coordinator that was paused itself evicts nobody for it")
  func ownPause() {
    var m = running(2)
    _ = m.tick(at: .seconds(1))
    beat(&m, 0..<2, at: .seconds(1))
    let actions = m.tick(at: .seconds(21))
    #expect(m.isKnown(worker[0]) && m.isKnown(worker[1]) && m.isRunning)
    #expect(!actions.contains { if case .left = $0 { true } else { false } })
  }

  @Test("a short silence makes a suspect, who is cleared when it is heard")
  func suspect() {
    var m = running(1)
    _ = m.tick(at: .seconds(1))
    #expect(
      m.tick(at: .milliseconds(1500)).contains(
        .report(RunEvent(.workerSuspected, "worker 0 is suspected: no heartbeat for 1.5 s"))))
    #expect(m.tick(at: .milliseconds(1700)).isEmpty)
    let cleared = m.heartbeat(worker[0], Progress(), at: .milliseconds(1800))
    #expect(cleared.contains(.report(RunEvent(.workerRecovered, "worker 0 is heard again"))))
  }

  @Test("where a connection ended and no heartbeat comes, the worker is dead at once; if one comes, it is not")
  func closedLink() {
    var m = running(2)
    m.closedLink(worker[0], 1, at: .milliseconds(100))
    var cleared = m
    beat(&cleared, 1..<2, at: .milliseconds(300))
    _ = cleared.tick(at: .milliseconds(950))
    #expect(cleared.isKnown(worker[1]))
    _ = m.tick(at: .milliseconds(950))
    #expect(!m.isKnown(worker[1]))
  }

  @Test("two neighbours that cannot reach each other get another order of the ring; of two workers one must go")
  func brokenLink() throws {
    var m = running(4)
    #expect(!m.silentPeer(worker[0], 1, at: .zero).isEmpty)
    let ring = try begun(settle(&m, next: 3)).members.map(\.identity.rank)
    #expect(ring == [0, 2, 1, 3])
    #expect(m.silentPeer(worker[3], 0, at: .seconds(2)).isEmpty, "a peer that is silent here too is another matter")

    var two = running(2)
    _ = two.silentPeer(worker[0], 1, at: .zero)
    settle(&two, next: 3)
    #expect(two.isKnown(worker[0]) && !two.isKnown(worker[1]))
    #expect(two.hello(worker[1], hello(past: past(2, next: 3)), at: .seconds(5)).isEmpty)
    #expect(!two.hello(worker[1], hello(past: past(2, next: 3)), at: .seconds(11)).isEmpty)
  }

  @Test("no ring goes over a broken link", arguments: 2...6)
  func rings(size: Int) {
    let all = (0..<size).map { WorkerIdentity(rank: $0, incarnation: 1) }
    for from in 0..<size {
      for to in 0..<size where to != from {
        let order = ringOrder(all, avoiding: [Link(from: all[from], to: all[to])])
        guard let order else {
          #expect(size == 2)
          continue
        }
        #expect(order.sorted() == Array(0..<size))
        let links = order.indices.map { Link(from: all[order[$0]], to: all[order[($0 + 1) % size]]) }
        #expect(!links.contains(Link(from: all[from], to: all[to])))
      }
    }
  }

  @Test("the lanes of a slow worker move to the others, and nobody is evicted")
  func straggler() throws {
    var m = running(3)
    var actions: [Membership.Action] = []
    for step in 0..<40 as Range<UInt64> {
      for rank in 0..<3 {
        actions += m.committed(
          record(step, seconds: rank == 2 ? 3 : 1, lanes: [0, 1]), by: worker[rank], recorded: step + 1, at: .zero)
      }
    }
    #expect(directives(actions) == [.reconfigure])
    #expect(actions.contains(.report(RunEvent(.balance, "worker 2 is slow: lanes move"))))
    for rank in 0..<3 { _ = m.reported(worker[rank], StateReport(generation: 1, next: 40), at: .zero) }
    let moved = try begun(settle(&m, next: 40))
    #expect(moved.members.map(\.lanes.count) == [3, 2, 1])
  }

  // MARK: A coordinator that was started again

  private func restarted(_ m: Membership, next: UInt64) -> Membership {
    var past = Membership.Past(checkpoint: 0)
    past.generation = m.generation
    past.number = 1
    past.present = [worker[0], worker[1]]
    past.next = next
    past.state = digest
    return Membership(settings(2), past: past)
  }

  @Test("all its workers are found: they go on in their generation, undisturbed")
  func adoption() {
    var m = restarted(running(2), next: 5)
    #expect(m.phase.description == "recovering until 4 s")
    _ = m.hello(worker[0], hello(past: past(1, next: 9)), at: .seconds(1))
    let actions = m.hello(worker[1], hello(past: past(1, next: 8)), at: .seconds(2))
    #expect(m.isRunning && m.number == 1)
    #expect(sent(actions).allSatisfy { if case .halt = $0.1 { false } else { true } })
    #expect(actions.allSatisfy { if case .launch = $0 { false } else { true } })
  }

  @Test("an old hello that comes before the one that tells of the past does no harm")
  func adoptionAfterOldHello() {
    var m = restarted(running(2), next: 5)
    _ = m.hello(worker[0], hello(), at: .seconds(1))
    _ = m.hello(worker[0], hello(past: past(1, next: 9)), at: .seconds(1))
    _ = m.hello(worker[1], hello(past: past(1, next: 8)), at: .seconds(2))
    #expect(m.isRunning && m.number == 1)
  }

  @Test("an old hello that came late: the worker is asked who it is, and goes on")
  func oldHello() {
    var m = restarted(running(1), next: 5)
    _ = m.gone(worker[1], at: .zero)
    let asked = [(worker[0], CoordinatorMessage.identify(run: "r"))]
    _ = m.hello(worker[0], hello(), at: .seconds(1))
    let answer = sent(m.reported(worker[0], StateReport(generation: 1, next: 9), at: .seconds(1)))
    #expect(answer.elementsEqual(asked, by: ==))
    #expect(m.committed(record(9), by: worker[0], recorded: 5, at: .seconds(1)).isEmpty && m.position.committed == 5)
    _ = m.hello(worker[0], hello(past: past(1, next: 9)), at: .seconds(1))
    #expect(m.isRunning)
  }

  @Test("workers that trained on after their steps were rolled back are no members, not even all together")
  func adoptionAfterRollback() {
    let before = running(2)
    var past = Membership.Past()
    past.generation = before.generation
    past.present = Set(worker.prefix(2))
    past.rolledBack = .max
    past.checkpoint = 3
    past.next = 3
    var m = Membership(settings(2), past: past)
    for rank in 0..<2 { _ = m.hello(worker[rank], hello(past: self.past(1, next: 9)), at: .seconds(1)) }
    #expect(m.phase.description == "halting")
    var actions: [Membership.Action] = []
    for rank in 0..<2 {
      actions += m.reported(worker[rank], StateReport(generation: m.number, next: 9), at: .seconds(1))
    }
    #expect(sources(actions) == [0: .coordinator, 1: .coordinator] && m.position.rolledBack == m.number - 1)
  }

  @Test("one is missing: it is replaced, and the others make a new generation with what they hold")
  func adoptionOfSome() {
    var m = restarted(running(2), next: 5)
    _ = m.hello(worker[0], hello(past: past(1, next: 9)), at: .seconds(1))
    var actions = m.tick(at: .seconds(1))
    for tenth in 11...45 {
      beat(&m, 0..<1, at: .milliseconds(100 * tenth))
      actions += m.tick(at: .milliseconds(100 * tenth))
    }
    #expect(actions.contains(.launch(rank: 1)))
    #expect(m.number > 2 && sent(actions).contains { $0 == (worker[0], .halt(generation: m.number)) })
    let resolved = m.reported(worker[0], StateReport(generation: m.number, next: 9, held: [0, 1, 2]), at: .seconds(5))
    #expect(sources(resolved) == [0: .own(skipping: false)])
    #expect(!resolved.contains { if case .rollBack = $0 { true } else { false } })
  }

  @Test("nobody is left: the steps after the checkpoint are rolled back")
  func adoptionOfNobody() {
    var m = restarted(running(2), next: 5)
    _ = m.gone(worker[0], at: .zero)
    let actions = m.gone(worker[1], at: .zero)
    #expect(actions.contains(.launch(rank: 0)) && actions.contains(.launch(rank: 1)))
    #expect(m.phase == .gathering)
  }

  @Test("one that comes back while a rollback is prepared, with the state that is missed, makes it needless")
  func backInTime() {
    var m = running(2)
    _ = m.committed(record(8), by: worker[1], recorded: 9, at: .zero)
    _ = m.lost(worker[1], .silent, reason: "silent", at: .zero)
    _ = m.hello(worker[1], hello(past: past(1, next: 9)), at: .zero)
    let number = m.number
    let again = m.reported(worker[0], StateReport(generation: number, next: 2), at: .zero)
    #expect(sent(again).map(\.1) == Array(repeating: .halt(generation: number + 1), count: 2))
    _ = m.reported(worker[0], StateReport(generation: number + 1, next: 2), at: .zero)
    let resolved = m.reported(worker[1], StateReport(generation: number + 1, next: 9), at: .zero)
    #expect(sources(resolved) == [1: .own(skipping: false)] && m.phase.description == "preparing step 9")
  }

  @Test("a worker of another run is refused")
  func otherRun() {
    var m = running(1)
    let stranger = Hello.Past(run: "another", number: 4, next: 9, acknowledged: 9)
    guard case .dismiss(let why, false)? = sent(m.hello(worker[1], hello(past: stranger), at: .zero)).first?.1 else {
      Issue.record("it was not refused")
      return
    }
    #expect(why.contains("another run"))
  }

  @Test("a worker whose self-test differs is refused, with both results")
  func selfTest() {
    var m = running(1)
    _ = m.hello(worker[1], hello(), at: .zero)
    _ = m.hello(worker[2], hello(), at: .zero)
    let good = SelfTest(lane: digest, clip: nil)
    _ = m.reported(worker[1], StateReport(generation: 0, next: nil, selfTest: good), at: .zero)
    let bad = SelfTest(lane: Digest128(high: 0, low: 0), clip: nil)
    let actions = m.reported(worker[2], StateReport(generation: 0, next: nil, selfTest: bad), at: .zero)
    guard case .dismiss(let why, false)? = sent(actions).first?.1 else {
      Issue.record("it was not refused")
      return
    }
    #expect(why.contains(bad.description) && why.contains(good.description))
    #expect(!m.isKnown(worker[2]))
  }
}
