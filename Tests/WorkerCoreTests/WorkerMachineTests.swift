import Shared
import Testing
import Wire

@testable import WorkerCore

@Suite struct WorkerMachineTests {
  private let me = WorkerIdentity(rank: 0, incarnation: 1)
  private let digest = Digest128(high: 0, low: 0)

  /// A worker that computes lanes 3 and 4 of step 0 of generation 1.
  private func computing() -> WorkerMachine {
    var machine = WorkerMachine(identity: me)
    let generation = Generation(
      number: 1, startStep: 0, members: [Member(identity: me, endpoint: "tcp://127.0.0.1:1", lanes: [3, 4])])
    let events: [WorkerEvent] = [
      .message(.welcome(Welcome(recipe: "", blobs: [], lastStep: 100)), payload: nil),
      .ready(SelfTest(lane: digest, clip: nil), RunRules { _ in false }, dataLost: nil),
      .message(.halt(generation: 1), payload: nil),
      .message(.prepare(generation: 1, step: 0, source: .initial), payload: nil),
      .obtained(step: 0, weights: digest),
      .message(.begin(generation), payload: nil),
    ]
    for event in events { _ = machine.step(event, at: .zero) }
    return machine
  }

  /// A worker that waits before step 0, whose state has `digest`.
  private func waiting() -> WorkerMachine {
    var machine = WorkerMachine(identity: me)
    let generation = Generation(
      number: 1, startStep: 0, members: [Member(identity: me, endpoint: "tcp://127.0.0.1:1", lanes: [0])],
      pauses: true)
    let events: [WorkerEvent] = [
      .message(.welcome(Welcome(recipe: "", blobs: [], lastStep: 100)), payload: nil),
      .ready(SelfTest(lane: digest, clip: nil), RunRules { _ in false }, dataLost: nil),
      .message(.halt(generation: 1), payload: nil),
      .message(.prepare(generation: 1, step: 0, source: .initial), payload: nil),
      .obtained(step: 0, weights: digest), .message(.begin(generation), payload: nil),
    ]
    for event in events { _ = machine.step(event, at: .zero) }
    return machine
  }

  @Test("a checkpoint that a pause or the end waits for is published, whatever copies wait to be fetched")
  func awaitedCheckpoint() {
    var machine = waiting()
    for step: UInt64 in [10, 20, 30] { machine.publishCheckpoint(step, isAwaited: false) }
    #expect(machine.pendingCheckpoints.count == 2 && machine.pendingCheckpoints[30] == nil)
    machine.publishCheckpoint(30, isAwaited: true)
    #expect(machine.pendingCheckpoints[30] != nil)
  }

  @Test("the model of a passed state is fetched once; then its tasks are computed, until training goes on")
  func passedState() {
    var machine = waiting()
    machine.session = waitingSession(before: 7)
    let task = EvaluationTask(.init(step: 4, state: digest, number: 0), clips: [1], isPassed: true)
    let name = StateBlobs.model(4)
    func asked(_ effects: [WorkerEffect]) -> [String] {
      effects.compactMap { if case .ask(let request, peer: nil) = $0 { request.name } else { nil } }
    }
    #expect(asked(machine.step(.message(.evaluate(task), payload: nil), at: .zero)) == [name])
    #expect(machine.step(.message(.evaluate(task), payload: nil), at: .zero).isEmpty)
    let piece = BlobPiece(name: name, offset: 0, description: BlobDescription(name: name, bytes: 3, digest: digest))
    let loads = machine.step(.message(.blobPiece(piece), payload: 3), at: .zero).contains {
      if case .loadBeside(step: 4, _) = $0 { true } else { false }
    }
    #expect(loads)
    #expect(computed(machine.step(.message(.evaluate(task), payload: nil), at: .zero)).isEmpty)
    _ = machine.step(.besideLoaded, at: .zero)
    #expect(computed(machine.step(.message(.evaluate(task), payload: nil), at: .zero)) == [task])
  }

  @Test("measured batch norms are fetched before the first task that needs them, with the model of a passed state")
  func measuredNorms() {
    func asked(_ effects: [WorkerEffect]) -> [String] {
      effects.compactMap { if case .ask(let request, peer: nil) = $0 { request.name } else { nil } }
    }
    for isPassed in [false, true] {
      var machine = waiting()
      machine.session = waitingSession(before: 7)
      let step: UInt64 = isPassed ? 4 : 7
      func task(_ number: Int, _ norms: EvaluationTask.Norms) -> EvaluationTask {
        EvaluationTask(.init(step: step, state: digest, number: number), clips: [1], isPassed: isPassed, norms: norms)
      }
      func load(_ names: [String]) {
        for name in names {
          let piece = BlobPiece(
            name: name, offset: 0, description: BlobDescription(name: name, bytes: 3, digest: digest))
          _ = machine.step(.message(.blobPiece(piece), payload: 3), at: .zero)
        }
        _ = machine.step(.besideLoaded, at: .zero)
      }
      if isPassed {
        #expect(
          asked(machine.step(.message(.evaluate(task(0, .measured)), payload: nil), at: .zero))
            == task(0, .measured).blobs)
        load([StateBlobs.model(4)])
      }
      #expect(
        computed(machine.step(.message(.evaluate(task(0, .measured)), payload: nil), at: .zero)) == [task(0, .measured)]
      )
      let precise = task(1, .precise)
      #expect(precise.blobs == (isPassed ? [StateBlobs.model(4)] : []) + [StateBlobs.norms(step)])
      #expect(asked(machine.step(.message(.evaluate(precise), payload: nil), at: .zero)) == [precise.blobs[0]])
      load(precise.blobs)
      #expect(computed(machine.step(.message(.evaluate(precise), payload: nil), at: .zero)) == [precise])
    }
  }

  /// A session that waits at a boundary.
  private func waitingSession(before step: UInt64) -> WorkerSession {
    var session = WorkerSession(identity: me)
    _ = session.receive(.welcome(Welcome(recipe: "", blobs: [], lastStep: 100)))
    _ = session.indexed { _ in false }
    _ = session.receive(.halt(generation: 1))
    _ = session.receive(.prepare(generation: 1, step: step, source: .coordinator))
    _ = session.obtained(generation: 1, step: step, weights: digest)
    _ = session.receive(
      .begin(
        Generation(
          number: 1, startStep: step, members: [Member(identity: me, endpoint: "tcp://127.0.0.1:1", lanes: [0])],
          pauses: true)))
    return session
  }

  @Test("copies of states that are to be evaluated are all kept, and given up one by one")
  func validatedCopies() {
    var machine = waiting()
    machine.rules?.isValidated = { $0 > 0 && $0 % 10 == 0 }
    for step: UInt64 in [5, 10, 20, 30] { machine.publishCheckpoint(step, isAwaited: step != 5) }
    _ = machine.step(.message(.checkpointTaken(step: 20), payload: nil), at: .zero)
    #expect(machine.pendingCheckpoints.keys.sorted() == [10, 30])
  }

  private func computed(_ effects: [WorkerEffect]) -> [EvaluationTask] {
    effects.compactMap { if case .evaluate(let task) = $0 { task } else { nil } }
  }

  private func answers(_ effects: [WorkerEffect]) -> [EvaluationTask.ID] {
    effects.compactMap { if case .send(.evaluated(let id, _)) = $0 { id } else { nil } }
  }

  @Test("a task is computed once, and answered as often as it comes, until the state changes")
  func evaluation() {
    var machine = waiting()
    let task = EvaluationTask(.init(step: 0, state: digest, number: 3), clips: [1])
    var result = EvaluationResult()
    result.clips = 1
    #expect(computed(machine.step(.message(.evaluate(task), payload: nil), at: .zero)) == [task])
    #expect(computed(machine.step(.message(.evaluate(task), payload: nil), at: .zero)).isEmpty)
    #expect(answers(machine.step(.evaluated(task.id, result), at: .zero)) == [task.id])
    let again = machine.step(.message(.evaluate(task), payload: nil), at: .zero)
    #expect(computed(again).isEmpty && answers(again) == [task.id])
    for message in [CoordinatorMessage.halt(generation: 2), .prepare(generation: 2, step: 0, source: .initial)] {
      _ = machine.step(.message(message, payload: nil), at: .zero)
    }
    #expect(answers(machine.step(.evaluated(task.id, result), at: .zero)).isEmpty, "it was given up")
    _ = machine.step(.obtained(step: 0, weights: digest), at: .zero)
    #expect(computed(machine.step(.message(.evaluate(task), payload: nil), at: .zero)) == [task])
  }

  @Test("a task for another step or state, or while lanes are computed, is not computed")
  func otherState() {
    var machine = waiting()
    let other = Digest128(high: 9, low: 9)
    for id in [EvaluationTask.ID(step: 1, state: digest, number: 0), .init(step: 0, state: other, number: 0)] {
      #expect(computed(machine.step(.message(.evaluate(.init(id, clips: [1])), payload: nil), at: .zero)).isEmpty)
    }
    var busy = computing()
    let task = EvaluationTask(.init(step: 0, state: digest, number: 0), clips: [1])
    #expect(computed(busy.step(.message(.evaluate(task), payload: nil), at: .zero)).isEmpty)
    #expect(computed(machine.step(.message(.evaluate(task), payload: nil), at: .zero)) == [task])
  }

  /// The clips that are looked into, and the lanes that are computed again.
  private func asked(_ effects: [WorkerEffect]) -> [String] {
    effects.compactMap {
      switch $0 {
      case .probe(let clip): "probe \(clip.map(String.init) ?? "any")"
      case .retry(_, let lane): "retry \(lane)"
      default: nil
      }
    }
  }

  @Test("each of two lanes that failed while the data was away is computed again once its clip can be read")
  func twoSuspects() {
    var machine = computing()
    #expect(machine.session.phase == .computing)
    let first = machine.step(.laneFailed(step: 0, lane: 3, clip: 7, reason: "gone"), at: .zero)
    #expect(asked(first) == ["probe 7"])
    #expect(asked(machine.step(.laneFailed(step: 0, lane: 4, clip: 9, reason: "gone"), at: .zero)).isEmpty)
    #expect(
      asked(machine.step(.probed(reads: true, clip: (7, true), reason: ""), at: .zero)) == ["probe 9", "retry 3"])
    // The first look at it may have been refused, because another was going on.
    #expect(asked(machine.step(.tick(unacknowledged: nil, unread: nil), at: .seconds(1))) == ["probe 9"])
    #expect(asked(machine.step(.probed(reads: true, clip: (9, true), reason: ""), at: .seconds(1))) == ["retry 4"])
    #expect(asked(machine.step(.tick(unacknowledged: nil, unread: nil), at: .seconds(2))).isEmpty)
  }

  @Test("a worker's state as a table")
  func table() {
    #expect(
      computing().description == """
        worker      0, incarnation 1
        phase       computing
        generation  1, lanes 3 4
        step        0, attempt 0
        reports     0 not acknowledged
        directives  done to 0, held to 0
        """)
  }

  @Test("each change of whether the data can be read has a number of its own, in faults and in heartbeats")
  func dataReports() {
    var machine = computing()
    #expect(machine.progress(WorkCounts()).dataReport == 0)
    let lost = machine.step(.probed(reads: false, clip: nil, reason: "gone"), at: .zero)
    #expect(
      lost.contains {
        if case .send(.fault(let fault)) = $0 { fault.kind == .dataLost(report: 1) } else { false }
      })
    #expect(machine.progress(WorkCounts()).dataReport == 1)
    _ = machine.step(.probed(reads: true, clip: nil, reason: ""), at: .zero)
    #expect(machine.progress(WorkCounts()).dataReport == 2)
  }

  @Test("connections that stay silent get more and more time, so that a slow path can answer")
  func slowPath() {
    var link = LinkLiveness()
    let made = (0...60).filter { link.reconnect(at: .seconds($0)) != nil }
    #expect(made == [4, 11, 24, 37, 50])
    link.heard(at: .seconds(60))
    #expect(link.reconnect(at: .seconds(63)) == nil)
    #expect(link.reconnect(at: .seconds(64)) == 6)
  }
}
