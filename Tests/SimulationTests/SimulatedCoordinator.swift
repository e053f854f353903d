// A coordinator's process in the simulated world: the production machine, around simulated ports.
import CoordinatorCore
import Shared
import Wire

final class SimulatedCoordinator {
  private unowned let world: World
  private let life: Int
  private let start: Nanoseconds
  private(set) var machine: CoordinatorMachine
  /// States that came as blobs, and those that are served.
  private var fetched: [String: TrainingValue] = [:]
  private var shelf: [UInt64: TrainingValue] = [:]
  /// What came with the present message.
  private var payload: TrainingValue?
  /// Processes that this coordinator started or took over, by rank.
  private var fleet: [Int: Int] = [:]
  /// Of each rank, how often it was started since it last took part in a step, and when it last was.
  private var starts: [Int: (count: Int, last: Nanoseconds)] = [:]
  var downAfterwards: Nanoseconds = 100.milliseconds
  /// Nothing that it does has an effect any more.
  var isDead = false
  /// The training is over.
  private(set) var isDone = false

  private var now: Duration { .nanoseconds(world.now - start) }

  init(_ world: World, life: Int) throws {
    self.world = world
    self.life = life
    start = world.now
    var settings = CoordinatorMachine.Settings(
      ranks: Array(0..<world.scenario.ranks), lanes: world.training.lanes, lastStep: world.training.lastStep)
    settings.run = World.run
    settings.localRanks = world.scenario.launch == .remote ? [] : Set(settings.ranks)
    settings.startsWorkers = world.scenario.launch != .none
    settings.restarts = world.scenario.restarts
    settings.longestWait = world.scenario.longestWait
    settings.host = World.coordinatorHost
    settings.joinWindow = .seconds(4)
    settings.returnAfter = .seconds(8)
    settings.hangAfter = .seconds(12)
    settings.dataWait = .seconds(20)
    settings.epoch.plan = world.training.plan
    settings.validationClips = world.training.validationClips
    settings.evaluateBefore = world.training.evaluateBefore
    settings.validationSample = world.training.validationSample
    settings.evaluationRules.patience = world.training.followsValidation ? 1 : nil
    machine = CoordinatorMachine(
      settings, past: life == 1 ? Membership.Past() : try world.disk.past(at: world.now, world.training))
  }

  func lead() {
    let vanished = world.disk.present.sorted { ($0.rank, $0.incarnation) < ($1.rank, $1.incarnation) }.filter {
      world.scenario.launch == .local && !isAlive($0)
    }
    handle(.started(vanished: vanished))
    world.schedule(.coordinatorTick, node: World.coordinatorNode, life: life, at: world.now)
  }

  private func isAlive(_ identity: WorkerIdentity) -> Bool {
    world.pid(of: identity).map { world.workers[$0].isAlive } ?? false
  }

  func watches(_ pid: Int) -> Bool { fleet.values.contains(pid) }

  // MARK: What arrives

  func take(_ event: World.Event) {
    switch event {
    case .fromWorker(let sender, let message):
      world.traffic?.came(message)
      handle(.message(message, payload: nil, from: sender))
    case .ask(let name, let pid, let channel):
      handle(
        .message(
          .blobRequest(BlobRequest(name: name, offset: 0)), payload: nil,
          from: Sender(worker: world.workers[pid].identity, channel: .control(channel))))
    case .piece(let piece, let pid, let state):
      payload = state
      handle(
        .message(
          .blobPiece(piece), payload: state == nil ? nil : 1,
          from: Sender(worker: world.workers[pid].identity, channel: .control(world.workers[pid].connection))))
      payload = nil
    case .childEnded(let rank, let pid):
      guard fleet[rank] == pid else { return }
      fleet[rank] = nil
      handle(.processEnded(rank: rank, process: Int32(pid + 1), reason: "its process ended"))
    case .wroteCheckpoint(let step, let outcome): finishWriting(step, outcome)
    case .markBest(let step):
      if world.diskFullUntil > world.now { return handle(.bestNotMarked(step: step, reason: "no space is left")) }
      world.disk.mark(best: step)
      handle(.bestMarked(step: step))
    case .readCheckpoint(let step):
      guard let state = world.disk.checkpoints[step] else {
        return handle(.checkpointLost(step: step, reason: "it is gone", newest: world.disk.newestCheckpoint))
      }
      shelf = [step: state]
      handle(.checkpointRead(step: step))
    case .interrupt: handle(.stopRequested)
    case .coordinatorTick:
      handle(.tick)
      world.schedule(.coordinatorTick, node: World.coordinatorNode, life: life, at: world.now + 200.milliseconds)
    default: preconditionFailure("an event for a worker")
    }
    handle(.drained)
  }

  private func handle(_ event: CoordinatorEvent) {
    var events = [event]
    while !events.isEmpty, !isDead {
      let event = events.removeFirst()
      for effect in machine.step(event, at: now) where !isDead {
        if let answer = perform(effect) { events.append(answer) }
      }
      if case .message(.committed, _, let sender) = event { world.moment(.tookCommit, world.pid(of: sender.worker)) }
    }
  }

  // MARK: What is done

  private func perform(_ effect: CoordinatorEffect) -> CoordinatorEvent? {
    switch effect {
    case .send(let message, let receiver):
      mark(message, receiver.worker)
      send(.fromCoordinator(message, receiver.channel), to: receiver)
    case .serve(let request, let receiver): serve(request, to: receiver)
    case .journal(let entry): return journal(entry)
    case .keep(let piece): fetched[piece.name] = payload
    case .writeCheckpoint(let step, let model, _, let expected):
      guard let state = fetched[model.name] else {
        world.violate("a checkpoint of step \(step) is to be written without its bytes")
        return nil
      }
      var outcome = World.WriteOutcome.written(state)
      if world.diskFullUntil > world.now { outcome = .diskFull }
      if let expected, expected != state.digest { outcome = .refused }
      let time = world.random.between(1, 60).milliseconds
      world.schedule(
        .wroteCheckpoint(step: step, outcome), node: World.coordinatorNode, life: life, at: world.now + time)
    case .pruneCheckpoints(let spared):
      fetched = [:]
      world.disk.prune(keep: 2, sparing: spared)
    case .markBest(let step, let figures):
      world.check(best: step, figures)
      world.schedule(
        .markBest(step: step), node: World.coordinatorNode, life: life,
        at: world.now + world.random.between(1, 10).milliseconds)
    case .readCheckpoint(let step):
      world.schedule(
        .readCheckpoint(step: step), node: World.coordinatorNode, life: life,
        at: world.now + world.random.between(1, 30).milliseconds)
    case .launch(let rank):
      guard fleet[rank] == nil else { return nil }
      checkStart(rank)
      let pid = world.startWorker(rank).pid
      fleet[rank] = pid
      return .processStarted(rank: rank, process: Int32(pid + 1))
    case .adopt(let rank, let process):
      let pid = Int(process) - 1
      guard world.workers[pid].isAlive, !watches(pid) else {
        return .processNotAdopted(rank: rank, process: process)
      }
      fleet[rank] = pid
      world.count { $0.adopted += 1 }
    case .inspect(let worker, _):
      if world.scenario.launch == .local, !isAlive(worker) { return .processVanished(worker) }
    case .endProcess(let process): kill(Int(process) - 1)
    case .endAllProcesses: for pid in fleet.values.sorted() { kill(pid) }
    case .report(let event):
      if event.kind == .corruption { world.count { $0.corruptions += 1 } }
      world.log(event.text)
    case .showStep, .showEvaluation: break
    case .finish(let outcome): finish(outcome)
    }
    return nil
  }

  private func kill(_ pid: Int) {
    // The process that is known of one behind ssh is the client's, not the worker's.
    guard world.scenario.launch == .local, watches(pid) else { return }
    world.end(world.workers[pid], "killed by the coordinator")
  }

  private func send(_ event: World.Event, to receiver: Sender) {
    if case .fromCoordinator(let message, _) = event { world.traffic?.went(message) }
    guard let pid = world.pid(of: receiver.worker) else { return }
    world.sendFromCoordinator(event, to: pid, receiver.channel)
  }

  private func serve(_ request: BlobRequest, to receiver: Sender) {
    let isIndex = request.name.hasPrefix("index/")
    let state =
      isIndex
      ? World.index
      : shelf.first {
        StateBlobs.model($0.key) == request.name
          || StateBlobs.trainer($0.key) == request.name
      }?.value
    let piece = BlobPiece(
      name: request.name, offset: request.offset, description: state.map { World.description(request.name, $0) })
    send(.piece(piece, from: World.coordinatorNode, state), to: receiver)
  }

  private func mark(_ message: CoordinatorMessage, _ worker: WorkerIdentity) {
    switch message {
    case .dismiss(let reason, clean: false): world.check(dismissed: worker, reason)
    case .halt: world.moment(.halting, world.pid(of: worker))
    case .prepare: world.moment(.preparing, world.pid(of: worker))
    case .begin: world.moment(.beginning, world.pid(of: worker))
    default: break
    }
    guard world.trace != nil else { return }
    switch message {
    case .pulse: break
    default: world.log("coordinator to \(worker): \(message)")
    }
  }

  // MARK: Starts

  /// A rank that fails to start is given time, and a run in which all do so is given up.
  private func checkStart(_ rank: Int) {
    let before = starts[rank] ?? (0, world.now)
    let wait =
      before.count < 2
      ? Duration.zero : min(world.scenario.longestWait, .milliseconds(500) * (1 << min(before.count - 2, 20)))
    if Duration.nanoseconds(world.now - before.last) < wait {
      world.violate("I10: worker \(rank) is started again too soon, after \(before.count) starts")
    }
    starts[rank] = (before.count + 1, world.now)
    let limit = world.scenario.restarts
    let areAllFailing = (0..<world.scenario.ranks).allSatisfy { (starts[$0]?.count ?? 0) > limit + 2 }
    if areAllFailing, fleet.isEmpty, machine.membership.workers.isEmpty {
      world.violate("I10: no worker stays alive, and they are started on and on")
    }
  }

  private var isExhausted: Bool {
    (0..<world.scenario.ranks).allSatisfy { (starts[$0]?.count ?? 0) > world.scenario.restarts }
  }

  // MARK: The disk

  private func journal(_ entry: JournalEntry) -> CoordinatorEvent? {
    do {
      switch entry {
      case .joined(let worker, let hello):
        world.log("\(worker) joined, process \(hello.pid)")
        world.disk.joined(worker)
      case .left(let worker, _): world.disk.left(worker)
      case .disbanded: world.disk.everybodyLeft()
      case .generation(let generation, let reason):
        let readers = generation.members.count { machine.membership.workers[$0.identity.rank]?.dataLost == nil }
        if readers == 0, !generation.pauses, !generation.stops, generation.startStep < world.training.lastStep {
          world.violate("I8: a generation trains of which nobody can read its data")
        }
        world.log("generation \(generation.number) from step \(generation.startStep): \(reason); \(generation.members)")
        world.count { $0.generations += 1 }
        try world.disk.record(generation)
        world.moment(.journaledGeneration, nil)
      case .fingerprint: break
      case .steps(let steps, let excluded): try write(steps, excluded)
      case .rollBack(let step, _):
        // What cannot be believed is given up.
        if !machine.membership.restores {
          world.check(rollBackTo: step, machine.membership.participants.filter { !$0.isStale }.map(\.identity))
        }
        world.count { $0.rolledBack += 1 }
        try world.disk.rollBack(to: step, epoch: world.training.epoch)
      case .directive(let directive):
        world.disk.record(directive)
        world.moment(.ordered, nil)
      case .exclusion(let clip, _):
        world.check(clip, generation: machine.membership.number, believed)
        world.disk.record(clip)
      case .evaluation(let step, let state, let result):
        world.log("the state before step \(step) is evaluated: \(result)")
        world.count { $0.evaluations += 1 }
        world.check(evaluationBefore: step, state, result)
        world.disk.record(step, state, result)
        world.moment(.journaledEvaluation, nil)
      case .paused(let step, let reason):
        world.log("paused before step \(step): \(reason)")
        world.count { $0.pauses += 1 }
        if world.disk.newestCheckpoint != step { world.violate("paused before step \(step) without a checkpoint") }
        world.disk.pausedAt = world.now
      case .resumed: world.disk.pausedAt = nil
      }
    } catch { world.violate("\(error)") }
    return nil
  }

  /// The processes whose states count.
  private var believed: [Int] {
    machine.membership.workers.values.filter { !$0.isStale }.compactMap { world.pid(of: $0.identity) }
  }

  private func write(_ steps: [CommittedStep], _ excluded: [ClipExclusion]) throws {
    for step in steps {
      for rank in step.shares.keys { starts[rank] = nil }
      let record = step.record
      let lanes = (0..<world.training.lanes).map {
        world.training.clips(step: record.step, lane: $0, without: excluded)
      }
      try world.disk.recordCommit(record, consumed: lanes, epoch: world.training.epoch(of: record.step))
      world.log("step \(record.step) is in the journal")
    }
    world.moment(.wroteCommit, nil)
  }

  private func finishWriting(_ step: UInt64, _ outcome: World.WriteOutcome) {
    switch outcome {
    case .written(let state):
      world.check(checkpoint: state)
      world.disk.write(state)
      world.log("checkpoint of step \(step)")
      world.moment(.wroteCheckpoint, nil)
      handle(.checkpointWritten(step: step))
    case .refused:
      world.count { $0.refusedCheckpoints += 1 }
      handle(.checkpointRefused(step: step, reason: "it is another state"))
    case .diskFull:
      world.count { $0.failedCheckpoints += 1 }
      handle(.checkpointFailed(step: step, reason: "no space is left"))
    }
  }

  // MARK: The end

  private func finish(_ outcome: Outcome) {
    world.log("the coordinator ends: \(outcome)")
    isDead = true
    switch outcome {
    case .done: isDone = true
    // What was passed without a validation is made up for by the next start, as is marking the best model.
    case .interrupted
    where world.disk.newestCheckpoint == world.training.lastStep
      && world.training.evaluateBefore.isSubset(of: world.disk.liveEvaluations.keys)
      && world.disk.best == ValidationHistory(world.disk.liveEvaluations).best?.step:
      isDone = true
    case .interrupted, .stoppedAtOnce: world.startCoordinator(after: downAfterwards)
    // A person mends what is wrong, and starts it again.
    case .failed(.badData, let reason)
    where reason.hasPrefix("no worker can read its data") && world.disk.nextStep == 0:
      world.startCoordinator(after: 5_000.milliseconds)
    case .failed(.ioError, let reason) where reason.hasPrefix("no worker could read its data"):
      world.disk.pausedAt = nil
      world.startCoordinator(after: 5_000.milliseconds)
    case .failed(.unavailable, let reason) where reason.hasPrefix("no worker stays alive") && isExhausted:
      world.count { $0.exhausted += 1 }
      world.startCoordinator(after: 5_000.milliseconds)
    // This run cannot go on.
    case .failed(.badData, let reason) where reason.hasPrefix("no clip of step") && !world.scenario.badClips.isEmpty:
      world.isOver = true
    case .failed(_, let reason), .damaged(let reason): world.violate("the run ends: \(reason)")
    }
  }
}
