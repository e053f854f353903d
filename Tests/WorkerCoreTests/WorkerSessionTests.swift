import Ring
import Shared
import Testing
import Wire

@testable import WorkerCore

@Suite struct WorkerSessionTests {
  private let me = WorkerIdentity(rank: 0, incarnation: 1)
  private let digest = Digest128(high: 0, low: 0)

  private func record(_ step: UInt64) -> CommitRecord {
    CommitRecord(
      generation: 1, step: step, attempt: 0, digest: digest, weights: digest, after: digest, loss: 0, top1: 0, top5: 0,
      clips: 1,
      learningRate: 0, skipped: false,
      share: .init(lanes: []))
  }

  private func generation(_ number: UInt32, start: UInt64, stops: Bool = false) -> Generation {
    Generation(
      number: number, startStep: start, members: [Member(identity: me, endpoint: "", lanes: [0, 1])], stops: stops)
  }

  /// A session that computes step 0 of generation 1.
  private func computing(lastStep: UInt64 = 100, checkpointEvery: UInt64 = 10) -> WorkerSession {
    var session = WorkerSession(identity: me)
    _ = session.receive(.welcome(Welcome(recipe: "", blobs: [], lastStep: lastStep)))
    _ = session.indexed { $0 % checkpointEvery == 0 }
    _ = session.receive(.halt(generation: 1))
    _ = session.receive(.prepare(generation: 1, step: 0, source: .initial))
    _ = session.obtained(generation: 1, step: 0, weights: digest)
    _ = session.receive(.begin(generation(1, start: 0)))
    return session
  }

  private func step(_ session: inout WorkerSession, agreed: UInt64 = 0, heard: Bool = true) -> [WorkerSession.Action] {
    guard let next = session.next else { return [] }
    _ = session.computed(step: next, attempt: session.attempt)
    _ = session.reduced()
    _ = session.agreed(Heard(directive: agreed, coordinator: heard), skipping: false)
    return session.applied(record(next))
  }

  @Test("a joined worker computes its lanes, reduces, votes, applies and goes on")
  func oneStep() {
    var session = computing()
    #expect(session.phase == .computing && session.lanes == [0, 1])
    #expect(session.computed(step: 0, attempt: 0) == [.reduce])
    #expect(session.reduced() == [.vote(directive: 0)])
    #expect(
      session.agreed(Heard(directive: 0, coordinator: true), skipping: false) == [.apply(step: 0, skipping: false)])
    #expect(
      session.applied(record(0)) == [.send(.committed(record(0))), .compute(step: 1, attempt: 0, lanes: [0, 1])])
    #expect(session.records.count == 1)
    _ = session.receive(.acknowledged(step: 1))
    #expect(session.records.isEmpty)
  }

  @Test("a halt in mid-vote freezes the sum; it is applied when the others had applied it")
  func rollForward() {
    var session = computing()
    _ = session.computed(step: 0, attempt: 0)
    _ = session.reduced()
    #expect(
      session.receive(.halt(generation: 2)) == [
        .closeRing,
        .send(
          .standing(
            StateReport(generation: 2, next: 0, held: [0, 1], vote: .init(generation: 1, attempt: 0)))),
      ])
    #expect(
      session.receive(.prepare(generation: 2, step: 1, source: .own(skipping: false))) == [
        .apply(step: 0, skipping: false), .obtain(.own(skipping: false), generation: 2, step: 1),
      ])
    #expect(session.applied(record(0)) == [.send(.committed(record(0)))])
    _ = session.obtained(generation: 2, step: 1, weights: digest)
    #expect(session.next == 1 && !session.frozen)
  }

  @Test("a frozen sum that nobody applied is forgotten and the step is redone")
  func redo() {
    var session = computing()
    _ = session.computed(step: 0, attempt: 0)
    _ = session.reduced()
    _ = session.receive(.halt(generation: 2))
    #expect(
      session.receive(.prepare(generation: 2, step: 0, source: .own(skipping: false))) == [
        .obtain(.own(skipping: false), generation: 2, step: 0)
      ])
    _ = session.obtained(generation: 2, step: 0, weights: digest)
    #expect(!session.frozen)
    let actions = session.receive(.begin(generation(2, start: 0)))
    #expect(actions.contains(.compute(step: 0, attempt: 0, lanes: [0, 1])))
  }

  @Test("late events of an aborted step change nothing")
  func stale() {
    var session = computing()
    _ = session.receive(.halt(generation: 2))
    #expect(session.computed(step: 0, attempt: 0).isEmpty)
    #expect(session.reduced().isEmpty)
    #expect(session.agreed(Heard(directive: 0, coordinator: true), skipping: false).isEmpty)
    #expect(session.receive(.begin(generation(1, start: 0))).isEmpty)
    #expect(session.receive(.halt(generation: 1)).isEmpty)
  }

  @Test("a directive takes effect only when the ballots agreed on it")
  func directives() {
    var session = computing()
    _ = session.receive(.pulse([Directive(sequence: 1, kind: .stop)]))
    #expect(session.directiveHeld == 1)
    #expect(step(&session, agreed: 0).contains(.compute(step: 1, attempt: 0, lanes: [0, 1])))
    #expect(step(&session, agreed: 1).contains(.publishCheckpoint(step: 2, isAwaited: true)))
    #expect(session.phase == .atBoundary(stopped: true))
  }

  @Test("a gap in the directives hides what follows it")
  func directiveGap() {
    var session = computing()
    _ = session.receive(.pulse([Directive(sequence: 2, kind: .stop)]))
    #expect(session.directiveHeld == 0)
  }

  @Test("training ends at the last step with a checkpoint")
  func lastStep() {
    var session = computing(lastStep: 1)
    #expect(step(&session).contains(.publishCheckpoint(step: 1, isAwaited: true)))
    #expect(session.phase == .atBoundary(stopped: true))
  }

  @Test("checkpoints are taken at the steps of the recipe")
  func checkpoints() {
    var session = computing(checkpointEvery: 2)
    #expect(!step(&session).contains(.publishCheckpoint(step: 1, isAwaited: false)))
    #expect(step(&session).contains(.publishCheckpoint(step: 2, isAwaited: false)))
  }

  @Test("scales that were too small repeat the lanes as a new attempt")
  func repeated() {
    var session = computing()
    _ = session.computed(step: 0, attempt: 0)
    _ = session.reduced()
    #expect(session.repeatStep() == [.compute(step: 0, attempt: 1, lanes: [0, 1])])
    #expect(session.computed(step: 0, attempt: 0).isEmpty)
    #expect(session.computed(step: 0, attempt: 1) == [.reduce])
  }

  @Test("a halted worker says which lanes it holds; a lane whose clip failed is not among them")
  func heldLanes() {
    var session = computing()
    #expect(
      session.receive(.halt(generation: 2)).contains(
        .send(.standing(StateReport(generation: 2, next: 0, held: [0, 1])))))
    _ = session.receive(.prepare(generation: 2, step: 0, source: .own(skipping: false)))
    _ = session.obtained(generation: 2, step: 0, weights: digest)
    _ = session.receive(.begin(generation(2, start: 0)))
    let fault = Fault(kind: .clip(lane: 1, clip: 5), generation: 2, step: 0, text: "")
    #expect(session.failed(fault) == [.send(.fault(fault))])
    #expect(
      session.receive(.halt(generation: 3)).contains(.send(.standing(StateReport(generation: 3, next: 0, held: [0])))))
  }

  @Test("sums that are not to be trusted are discarded before the lanes are computed")
  func discarded() {
    var session = computing()
    _ = session.receive(.halt(generation: 2))
    _ = session.receive(.prepare(generation: 2, step: 0, source: .own(skipping: false)))
    _ = session.obtained(generation: 2, step: 0, weights: digest)
    var made = generation(2, start: 0)
    made.computesAnew = true
    let actions = session.receive(.begin(made))
    #expect(actions == [.openRing(made), .discardSums, .compute(step: 0, attempt: 0, lanes: [0, 1])])
  }

  @Test("a state that it neither has nor froze is not claimed as its own")
  func notItsOwn() {
    var session = computing()
    _ = session.receive(.halt(generation: 2))
    #expect(session.receive(.prepare(generation: 2, step: 1, source: .own(skipping: false))).isEmpty)
    #expect(session.phase == .halted)
  }

  @Test("whoever gets another's state forgets its own commits")
  func receivedState() {
    var session = computing()
    _ = step(&session)
    #expect(session.records.count == 1)
    _ = session.receive(.halt(generation: 2))
    _ = session.receive(.prepare(generation: 2, step: 9, source: .peer(endpoint: "tcp://e")))
    _ = session.obtained(generation: 2, step: 9, weights: digest)
    #expect(session.records.isEmpty && session.next == 9)
  }

  @Test("a coordinator of its run that does not know it is told what it did; one of another run is left")
  func identify() {
    var session = WorkerSession(identity: me)
    #expect(session.past == nil)
    _ = session.receive(.welcome(Welcome(run: "a", recipe: "", blobs: [], lastStep: 9)))
    _ = session.indexed { _ in false }
    #expect(session.receive(.identify(run: "a")) == [.introduce])
    _ = session.receive(.acknowledged(step: 4))
    #expect(session.past == Hello.Past(run: "a", number: 0, next: nil, acknowledged: 4))
    guard case .leave? = session.receive(.identify(run: "b")).first else {
      Issue.record("it stays with a stranger")
      return
    }
  }

  @Test("commits are kept until the journal has them, and after a long absence come again in portions")
  func manyRecords() {
    var session = computing(lastStep: 10_000, checkpointEvery: 100_000)
    for _ in 0..<600 { _ = step(&session) }
    #expect(session.unanswered().count == 256)
    #expect(session.receive(.acknowledged(step: 256)).count == 256)
    #expect(session.records.count == 344 && session.records.first?.step == 256)
  }

  /// A session of a generation that ends before step 2, where states are evaluated before steps 2, 4, 6, ….
  private func validating(binds: Bool) -> WorkerSession {
    var session = WorkerSession(identity: me)
    _ = session.receive(.welcome(Welcome(recipe: "", blobs: [], lastStep: 100)))
    _ = session.indexed(isCheckpoint: { _ in false }, isValidated: { $0 % 2 == 0 })
    _ = session.receive(.halt(generation: 1))
    _ = session.receive(.prepare(generation: 1, step: 0, source: .initial))
    _ = session.obtained(generation: 1, step: 0, weights: digest)
    var made = generation(1, start: 0)
    (made.endStep, made.endBinds) = (2, binds)
    _ = session.receive(.begin(made))
    return session
  }

  @Test("before a state that is evaluated all wait, if all hear the coordinator or training needs the result")
  func waitsForValidation() {
    for (binds, heard) in [(false, true), (true, false), (true, true)] {
      var session = validating(binds: binds)
      _ = step(&session, heard: heard)
      #expect(session.phase == .computing)
      _ = step(&session, heard: heard)
      #expect(session.phase == .atBoundary(stopped: false) && session.next == 2)
    }
  }

  @Test("without the coordinator they train on past four such states, keep a copy of each, and wait before the fifth")
  func passesValidation() {
    var session = validating(binds: false)
    var kept: [UInt64] = []
    while session.phase == .computing, session.next ?? 0 < 50 {
      for case .publishCheckpoint(let step, isAwaited: true) in step(&session, heard: false) { kept.append(step) }
    }
    #expect(kept == [2, 4, 6, 8, 10])
    #expect(session.phase == .atBoundary(stopped: false) && session.next == 10)
    // There a state that was passed can be evaluated, and none that is to come.
    func task(_ step: UInt64) -> EvaluationTask {
      EvaluationTask(.init(step: step, state: digest, number: 0), clips: [1], isPassed: true)
    }
    #expect(session.receive(.evaluate(task(4))) == [.evaluate(task(4))])
    #expect(session.receive(.evaluate(task(10))).isEmpty && session.receive(.evaluate(task(12))).isEmpty)
  }
}
