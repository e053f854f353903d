import Shared
import Testing
import Wire

@testable import CoordinatorCore

@Suite struct RunStatusTests {
  @Test("a machine's status says where its run is, from gathering to training")
  func machine() throws {
    var run = MachineDriver(lastStep: 10)
    #expect(run.status.phase == .gathering && run.status.workers.isEmpty)
    run.join()
    #expect(run.status.phase == .reconfiguring)
    run.prepare(1, step: 0)
    #expect(run.status.phase == .training && run.status.generation == .init(number: 1, startStep: 0, ranks: [0]))
    #expect(run.status.training == nil && run.status.step == 0 && run.status.epochs == 3)
    for step in 0..<5 {
      run.now = .seconds(10 + 2 * step)
      run.commit(UInt64(step))
      if step == 0 { #expect(run.status.secondsLeft == nil) }
    }
    let status = run.status
    #expect(status.run == "r" && status.step == 5 && status.lastStep == 10 && status.epoch == 1)
    #expect(!status.endsEpoch)
    #expect(status.members.map(\.lanes) == [[0, 1]])
    #expect(status.training?.clips == 2 && status.training?.clipsPerSecond == 1)
    #expect(status.secondsLeft == 10)
    #expect(status.lastExchange == RunStatus.Exchange(rawBytes: 100, wireBytes: 50, ringSeconds: 0))
    #expect(status.exchange.rawBytes == 500)
    #expect(status.lastWarning == nil)
  }

  @Test("of steps that are written down together, each is shown by itself")
  func together() {
    var run = MachineDriver(lastStep: 10)
    run.join()
    run.prepare(1, step: 0)
    for step: UInt64 in 0..<5 { run.say(.committed(MachineDriver.committed(step).record), drains: step == 4) }
    let shown = run.effects.compactMap { if case .showStep(_, let status) = $0 { status } else { nil } }
    #expect(shown.map(\.step) == [1, 2, 3, 4, 5])
    #expect(shown.map(\.endsEpoch) == [false, false, false, true, false])
  }

  @Test("loss and top-1 are those of the epoch's clips")
  func history() {
    var history = StepHistory(StepPlan(stepsPerEpoch: 2))
    for (step, clips, loss) in [(0, 4, 9.0), (1, 4, 8), (2, 6, 3), (3, 2, 1)] {
      history.add(MachineDriver.committed(UInt64(step), clips: clips, top1: 1, loss: loss), at: .seconds(step))
    }
    #expect(history.training?.clips == 8 && history.training?.top1 == 2)
    #expect(history.training?.loss == 2.5)
    #expect(history.training?.clipsPerSecond == 4)
  }

  @Test("an epoch's loss and top-1 count what the journal has of it, and a step that is computed again once")
  func wholeEpochs() {
    // Epochs of 3 steps; steps 3 to 6 were journaled, and the newest checkpoint is of step 4.
    let past = [1.0, 2, 3, 9].map { StepFigures(clips: 2, top1: 1, loss: $0) }
    func figures(_ history: StepHistory) -> [Double] {
      history.training.map { [Double($0.clips), Double($0.top1), $0.loss] } ?? []
    }
    func add(_ step: UInt64, to history: inout StepHistory, loss: Double = 5) {
      history.add(MachineDriver.committed(step, clips: 2, top1: 2, loss: loss), at: .seconds(Int(step)))
    }
    // Workers went on.
    var history = StepHistory(StepPlan(stepsPerEpoch: 3), past: past, from: 3)
    #expect(history.training == nil)
    add(7, to: &history)
    #expect(figures(history) == [4, 3, 7])
    // Nobody did: the run goes on from its checkpoint, in the epoch before.
    history = StepHistory(StepPlan(stepsPerEpoch: 3), past: past, from: 3)
    add(4, to: &history)
    #expect(figures(history) == [4, 3, 3])
    add(5, to: &history)
    #expect(figures(history) == [6, 5, 11 / 3.0])
    history.wroteCheckpoint(6)
    for step: UInt64 in 6...8 { add(step, to: &history) }
    #expect(figures(history) == [6, 6, 5])
    add(7, to: &history, loss: 2)
    #expect(figures(history) == [4, 4, 3.5])
    // What is not known is not counted.
    add(4, to: &history)
    #expect(figures(history) == [2, 2, 5])
  }

  @Test("between two steps a state is evaluated: stop, pause, evaluate, write it down, train on")
  func evaluation() throws {
    var run = MachineDriver(lastStep: 10) {
      $0.validationClips = 10
      $0.evaluateBefore = [2, 10]
    }
    run.join()
    run.prepare(1, step: 0)
    #expect(run.begun?.endStep == 2 && run.begun?.pauses == false)
    run.commit(0)
    run.commit(1)
    run.stand(1, next: 2)
    run.stand(2, next: 2)
    run.prepare(2, step: 2)
    #expect(run.begun?.pauses == true && run.begun?.endStep == nil && run.status.phase == .evaluating(step: 2))
    let tasks = run.tasks
    #expect(tasks.flatMap(\.clips) == Array(0..<10) && tasks.allSatisfy { $0.id.step == 2 })
    #expect(tasks.allSatisfy { $0.id.state == MachineDriver.state(2) })
    #expect(run.status.evaluation?.done == 0)
    for task in tasks {
      var result = EvaluationResult()
      (result.clips, result.top5, result.loss) = (task.clips.count, 1, 7)
      run.say(.evaluated(task.id, result))
    }
    let written = run.journaled.compactMap {
      if case .evaluation(let step, let state, let total) = $0 { (step, state, total) } else { nil }
    }
    #expect(written.map(\.0) == [2] && written.map(\.1) == [MachineDriver.state(2)] && written.map(\.2.top5) == [2])
    #expect(written.map(\.2.loss) == [14])
    #expect(run.status.lastEvaluation?.step == 2)
    // The checkpoint is not on the disk yet.
    run.happen(.tick)
    #expect(run.begun?.number == 2 && run.status.phase == .paused(seconds: 0, reason: "") && run.marked.isEmpty)
    run.happen(.checkpointWritten(step: 2))
    #expect(run.marked == [2] && run.status.best?.step == 2)
    run.happen(.bestNotMarked(step: 2, reason: "no space is left"))
    run.happen(.tick)
    #expect(run.marked == [2])
    run.now = .seconds(2)
    run.happen(.tick)
    #expect(run.marked == [2, 2])
    run.happen(.bestMarked(step: 2))
    run.now = .seconds(4)
    run.happen(.tick)
    #expect(run.marked == [2, 2])
    run.stand(3, next: 2)
    run.prepare(3, step: 2)
    #expect(run.begun?.number == 3 && run.begun?.pauses == false && run.begun?.endStep == nil)
    #expect(run.status.phase == .training)
  }
}

/// Plays the one worker of a run, and keeps what the machine does.
struct MachineDriver {
  static let worker = WorkerIdentity(rank: 0, incarnation: 5)

  private(set) var machine: CoordinatorMachine
  private(set) var effects: [CoordinatorEffect] = []
  var now = Duration.zero

  init(lastStep: UInt64, _ change: (inout CoordinatorMachine.Settings) -> Void = { _ in }) {
    var settings = CoordinatorMachine.Settings(ranks: [0], lanes: 2, lastStep: lastStep)
    settings.run = "r"
    settings.epoch.plan = StepPlan(clips: 8, lanes: 1, clipsPerLane: 2)
    change(&settings)
    machine = CoordinatorMachine(settings)
    effects += machine.step(.started(vanished: []), at: now)
  }

  static func state(_ step: UInt64) -> Digest128 { Digest128(high: 100 + step, low: 1) }

  static func committed(_ step: UInt64, clips: Int = 2, top1: Int = 0, loss: Double = 0) -> CommittedStep {
    let share = CommitRecord.Share(lanes: [0, 1], rawBytes: 100, wireBytes: 50)
    let record = CommitRecord(
      generation: 1, step: step, attempt: 0, digest: state(0), weights: state(step), after: state(step + 1), loss: loss,
      top1: top1, top5: top1, clips: clips, learningRate: 0.1, skipped: false, share: share)
    return CommittedStep(record: record, shares: [0: share])
  }

  var status: RunStatus { machine.status(at: now) }

  /// The newest generation that was begun.
  var begun: Generation? {
    effects.reversed().lazy.compactMap { if case .send(.begin(let made), _) = $0 { made } else { nil } }.first
  }

  var tasks: [EvaluationTask] {
    effects.compactMap { if case .send(.evaluate(let task), _) = $0 { task } else { nil } }
  }

  var journaled: [JournalEntry] { effects.compactMap { if case .journal(let entry) = $0 { entry } else { nil } } }

  /// Steps whose checkpoints were to be marked as the best.
  var marked: [UInt64] { effects.compactMap { if case .markBest(let step, _) = $0 { step } else { nil } } }

  mutating func happen(_ event: CoordinatorEvent) { effects += machine.step(event, at: now) }

  mutating func say(_ message: WorkerMessage, drains: Bool = true) {
    let sender = Sender(worker: Self.worker, channel: .control(0))
    effects += machine.step(.message(message, payload: nil, from: sender), at: now)
    if drains { effects += machine.step(.drained, at: now) }
  }

  mutating func join() {
    say(.hello(Hello(host: "h", pid: 1, threads: 2, endpoint: "tcp://h:1", fingerprint: [:])))
    say(.standing(StateReport(generation: 0, next: nil)))
    say(.standing(StateReport(generation: 1, next: nil)))
  }

  mutating func stand(_ generation: UInt32, next: UInt64) {
    say(.standing(StateReport(generation: generation, next: next)))
  }

  mutating func prepare(_ generation: UInt32, step: UInt64) {
    say(.prepared(generation: generation, step: step, weights: Self.state(step)))
  }

  mutating func commit(_ step: UInt64) { say(.committed(Self.committed(step).record)) }
}
