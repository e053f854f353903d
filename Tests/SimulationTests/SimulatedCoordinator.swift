// Takes the place of `CoordinatorService`: carries out what the membership says, in the same order, on a simulated
// disk and wire.
import Shared

@testable import Coordinator

final class SimulatedCoordinator {
  private struct Fetch {
    var step: UInt64
    var from: WorkerIdentity
    var state: TrainingValue?
    var asked: Duration
  }

  private unowned let world: World
  private let life: Int
  private let start: Nanoseconds
  private(set) var membership: Membership
  private var collector: CommitCollector
  private var committed: [CommittedStep] = []
  private var fetch: Fetch?
  private var newestCheckpoint: UInt64?
  private var shelf: [UInt64: TrainingValue] = [:]
  private var pids: [WorkerIdentity: Int] = [:]
  /// Processes that this coordinator started or took over, by rank.
  private var fleet: [Int: Int] = [:]
  private var interruptedFor: Nanoseconds?
  private var finished = false
  private var disbandUntil: Nanoseconds?
  /// Nothing that it does has an effect any more.
  var isDead = false
  /// The training is over.
  private(set) var isDone = false

  private var now: Duration { .nanoseconds(world.now - start) }

  init(_ world: World, life: Int) throws {
    self.world = world
    self.life = life
    start = world.now
    var settings = Membership.Settings(
      ranks: Array(0..<world.scenario.ranks), lanes: world.training.lanes, lastStep: world.training.lastStep,
      joinWindow: .seconds(4), evictAfter: .seconds(3))
    settings.returnAfter = .seconds(8)
    settings.hangAfter = .seconds(12)
    settings.run = World.run
    let past = life == 1 ? Membership.Past() : try world.disk.past()
    membership = Membership(settings, past: past)
    collector = CommitCollector(next: past.next)
    if let generation = past.generation { _ = collector.begin(generation) }
    newestCheckpoint = past.checkpoint
  }

  func lead() {
    if case .recovering = membership.phase {
      let here = world.disk.present.sorted { $0.rank < $1.rank }.filter { _ in world.scenario.launch == .local }
      for identity in here where !isAlive(identity) { perform(membership.gone(identity, at: now)) }
    } else if world.scenario.launch != .none {
      for rank in 0..<world.scenario.ranks { launch(rank) }
    }
    world.schedule(.coordinatorTick, node: World.coordinatorNode, life: life, at: world.now)
  }

  private func isAlive(_ identity: WorkerIdentity) -> Bool {
    world.pid(of: identity).map { world.workers[$0].isAlive } ?? false
  }

  // MARK: Processes

  func watches(_ pid: Int) -> Bool { fleet.values.contains(pid) }

  private func launch(_ rank: Int) {
    guard !isDead, interruptedFor == nil, world.scenario.launch != .none, rank < world.scenario.ranks,
      fleet[rank] == nil
    else { return }
    fleet[rank] = world.startWorker(rank).pid
  }

  private func kill(_ pid: Int) {
    // The process that is known of one behind ssh is the client's, not the worker's.
    guard !isDead, world.scenario.launch == .local, watches(pid) else { return }
    world.end(world.workers[pid], "killed by the coordinator")
  }

  private func ended(_ rank: Int, _ pid: Int) {
    guard fleet[rank] == pid else { return }
    fleet[rank] = nil
    if let identity = pids.first(where: { $0.value == pid && $0.key.rank == rank })?.key,
      world.scenario.launch == .local
    {
      pids[identity] = nil
      if membership.isKnown(identity) {
        return perform(membership.lost(identity, .dead, reason: "its process ended", at: now))
      }
      perform(membership.gone(identity, at: now))
    }
    if !finished { perform(membership.ended(rank: rank)) }
  }

  func interrupt(down: Nanoseconds) {
    guard interruptedFor == nil, !finished else { return }
    interruptedFor = down
    if membership.phase == .gathering { finished = true }
    perform(membership.stop())
    advance()
  }

  private func stopAtOnce() {
    for pid in fleet.values.sorted() { kill(pid) }
    guard !isDead, let interruptedFor else { return }
    isDead = true
    world.startCoordinator(after: interruptedFor)
  }

  // MARK: What arrives

  func take(_ event: World.Event) {
    if case .interruptAgain = event { return stopAtOnce() }
    if disbandUntil != nil { return disbanding(event) }
    switch event {
    case .fromWorker(let sender, let message): receive(message, from: sender)
    case .ask(_, let pid) where !membership.isKnown(world.workers[pid].identity):
      send(.identify(run: World.run), to: world.workers[pid].identity)
    case .ask(let name, let pid):
      let state = name < 0 ? nil : shelf[UInt64(name)]
      world.send(.piece(name: name, from: World.coordinatorNode, state), from: World.coordinatorNode, to: pid)
    case .piece(let name, let pid, let state): took(name, pid, state)
    case .childEnded(let rank, let pid): ended(rank, pid)
    case .coordinatorTick:
      writeDown()
      perform(membership.tick(at: now))
      askForCheckpoint()
      world.schedule(.coordinatorTick, node: World.coordinatorNode, life: life, at: world.now + 200.milliseconds)
    default: preconditionFailure("an event for a worker")
    }
    writeDown()
    advance()
  }

  private func receive(_ message: WorkerMessage, from sender: WorkerIdentity) {
    if case .hello(let hello) = message { return greet(sender, hello) }
    guard membership.isKnown(sender) else {
      if case .heartbeat(let progress) = message, progress.generation == 0 { return }
      return send(.identify(run: World.run), to: sender)
    }
    switch message {
    case .heartbeat(let progress): perform(membership.heartbeat(sender, progress, at: now))
    case .standing(let standing): perform(membership.standing(sender, standing, at: now))
    case .prepared(let generation, let step, let weights):
      perform(membership.prepared(sender, generation: generation, step: step, weights: weights, at: now))
    case .committed(let record):
      if record.step < collector.next { return send(.acknowledged(step: collector.next), to: sender) }
      guard membership.workers[sender.rank]?.isBelieved == true else { return }
      do { committed += try collector.take(record, from: sender.rank) } catch { return world.violate("I5: \(error)") }
      world.moment(.tookCommit, world.pid(of: sender))
      perform(membership.committed(record, by: sender, recorded: collector.reported, at: now))
    case .checkpointReady(let step, _): checkpointReady(step, from: sender)
    case .fault(let fault): faulted(fault, sender)
    case .leaving: perform(membership.leaving(sender, at: now))
    case .hello, .evaluated, .blobRequest, .blobPiece: break
    }
  }

  private func greet(_ sender: WorkerIdentity, _ hello: Hello) {
    if let past = hello.past, past.run == World.run {
      do { try world.disk.requireSteps(past.acknowledged, witness: "\(sender)") } catch {
        return world.violate("\(error)")
      }
    }
    if let holder = membership.workers[sender.rank], holder.identity != sender, pids[holder.identity] != nil,
      world.scenario.launch == .local, !isAlive(holder.identity)
    {
      perform(membership.lost(holder.identity, .dead, reason: "its process ended", at: now))
    }
    perform(membership.hello(sender, hello, at: now))
  }

  private func faulted(_ fault: Fault, _ sender: WorkerIdentity) {
    guard fault.generation == membership.number, membership.isMember(sender) else { return }
    world.log("\(sender): \(fault.text)")
    switch fault.kind {
    case .silentPeer(let rank): perform(membership.silentPeer(sender, rank, at: now))
    case .closedLink(let rank): membership.closedLink(sender, rank, at: now)
    case .clip(let lane, let clip):
      let clip = ClipVerdict(step: fault.step, lane: lane, clip: clip)
      perform(membership.clipFailed(sender, clip, reason: fault.text, at: now))
    case .corruption(let ranks): corrupted(ranks, fault)
    case .nonFiniteGradient, .other: world.violate("a fault that nothing caused: \(fault.text)")
    }
  }

  private func corrupted(_ ranks: [Int], _ fault: Fault) {
    guard membership.phase == .running else { return }
    world.count { $0.corruptions += 1 }
    if !ranks.isEmpty, ranks.count < membership.members.count {
      for rank in ranks {
        guard let worker = membership.workers[rank] else { continue }
        perform(membership.lost(worker.identity, .condemned, reason: fault.text, at: now))
      }
      return
    }
    let again =
      ranks.isEmpty ? membership.computeAgain(fault.text, at: now) : membership.restore(fault.text, at: now)
    guard let again else { return world.violate("the run ends: \(fault.text)") }
    perform(again)
  }

  // MARK: What is done

  private func send(_ message: CoordinatorMessage, to worker: WorkerIdentity) {
    guard !isDead, let pid = world.pid(of: worker) else { return }
    world.send(.fromCoordinator(message), from: World.coordinatorNode, to: pid)
  }

  private func durably(_ write: (inout SimulatedDisk) throws -> Void) {
    guard !isDead else { return }
    do { try write(&world.disk) } catch { world.violate("\(error)") }
  }

  private func perform(_ actions: [Membership.Action]) {
    for action in actions {
      switch action {
      case .send(let worker, let message):
        mark(message, worker)
        switch message {
        case .prepare(_, let step, .coordinator): if let state = world.disk.checkpoints[step] { shelf = [step: state] }
        case .prepare(_, let step, .peer):
          committed += collector.release(below: step)
          writeDown()
        default: break
        }
        send(message, to: worker)
      case .welcome(let worker):
        send(.welcome(Welcome(run: World.run, recipe: "", blobs: [], lastStep: world.training.lastStep)), to: worker)
      case .kill(let worker, let reason):
        send(.dismiss(reason: reason, clean: false), to: worker)
        if let pid = pids[worker] { kill(pid) }
      case .launch(let rank): launch(rank)
      case .joined(let worker, let hello):
        world.log("\(worker) joined, process \(hello.pid)")
        pids[worker] = Int(hello.pid)
        if world.scenario.launch == .local, hello.past != nil, isAlive(worker), !watches(Int(hello.pid)), !isDead {
          fleet[worker.rank] = Int(hello.pid)
          world.count { $0.adopted += 1 }
        }
        durably { $0.joined(worker) }
      case .left(let worker, let reason):
        world.log("\(worker) left: \(reason)")
        durably { $0.left(worker) }
        if fetch?.from == worker { fetch = nil }
      case .rollBack(let step): rollBack(to: step)
      case .directive(let directive):
        durably { $0.record(directive) }
        world.moment(.ordered, nil)
      case .verdict(let verdict, let reason):
        world.log("step \(verdict.step) goes without a clip: \(reason)")
        if !isDead { world.check(verdict, generation: membership.number, believed) }
        durably { $0.record(verdict) }
      case .begin(let generation, let reason): record(generation, reason)
      case .note(let text): world.log(text)
      }
    }
  }

  /// The processes whose states count.
  private var believed: [Int] {
    membership.workers.values.filter { !$0.mustLearn }.compactMap { world.pid(of: $0.identity) }
  }

  private func mark(_ message: CoordinatorMessage, _ worker: WorkerIdentity) {
    guard !isDead else { return }
    switch message {
    case .halt: world.moment(.halting, world.pid(of: worker))
    case .prepare: world.moment(.preparing, world.pid(of: worker))
    case .begin: world.moment(.beginning, world.pid(of: worker))
    default: break
    }
    if world.trace != nil {
      switch message {
      case .pulse: break
      default: world.log("coordinator to \(worker): \(message)")
      }
    }
  }

  private func rollBack(to step: UInt64) {
    committed.removeAll { $0.record.step >= step }
    collector.rollBack(to: step)
    committed += collector.release(below: step)
    writeDown()
    fetch = nil
    guard !isDead else { return }
    // What cannot be believed is given up.
    if !membership.restores {
      world.check(rollBackTo: step, membership.taking.filter { !$0.mustLearn }.map(\.identity))
    }
    world.count { $0.rolledBack += 1 }
    world.log("rolled back to step \(step)")
    guard collector.next == step else { return }
    durably { try $0.rollBack(to: step, epoch: world.training.epoch) }
  }

  private func record(_ generation: Generation, _ reason: String) {
    committed += collector.begin(generation)
    writeDown()
    guard !isDead else { return }
    world.log("generation \(generation.number) from step \(generation.startStep): \(reason); \(generation.members)")
    world.count { $0.generations += 1 }
    durably { try $0.record(generation) }
    world.moment(.journaledGeneration, nil)
  }

  private func writeDown() {
    guard !committed.isEmpty, !isDead else { return }
    let steps = committed
    committed = []
    durably { disk in
      for step in steps {
        let record = step.record
        let lanes = (0..<world.training.lanes).map {
          world.training.clips(step: record.step, lane: $0, without: membership.verdicts)
        }
        try disk.recordCommit(record, consumed: lanes, epoch: world.training.epoch(of: record.step))
        world.log("step \(record.step) is in the journal")
      }
    }
    world.moment(.wroteCommit, nil)
    for worker in membership.members { send(.acknowledged(step: collector.next), to: worker.identity) }
  }

  // MARK: Checkpoints

  private func checkpointReady(_ step: UInt64, from worker: WorkerIdentity) {
    if let newestCheckpoint, newestCheckpoint >= step { return send(.checkpointTaken(step: step), to: worker) }
    guard fetch == nil || (fetch.map { $0.step < step } ?? false) else { return }
    fetch = Fetch(step: step, from: worker, asked: now)
    ask()
  }

  private func askForCheckpoint() {
    guard let fetch else { return }
    if fetch.state != nil { return writeCheckpoint() }
    if now - fetch.asked > .seconds(2) { ask() }
  }

  private func ask() {
    guard let wanted = fetch, !isDead, let pid = world.pid(of: wanted.from) else { return }
    fetch?.asked = now
    world.send(
      .ask(name: Int64(wanted.step), from: World.coordinatorNode), from: World.coordinatorNode, to: pid)
  }

  private func took(_ name: Int64, _ pid: Int, _ state: TrainingValue?) {
    guard let wanted = fetch, wanted.state == nil, world.pid(of: wanted.from) == pid, Int64(wanted.step) == name,
      let state
    else { return }
    fetch?.state = state
    writeCheckpoint()
  }

  private func writeCheckpoint() {
    writeDown()
    guard let done = fetch, let state = done.state, collector.next >= done.step, !isDead else { return }
    fetch = nil
    world.check(checkpoint: state)
    durably { $0.write(state, keep: 2) }
    world.log("checkpoint of step \(done.step)")
    world.moment(.wroteCheckpoint, nil)
    newestCheckpoint = done.step
    membership.checkpointed(done.step)
    send(.checkpointTaken(step: done.step), to: done.from)
  }

  // MARK: The end

  private func advance() {
    if case .stopped(let next) = membership.phase, !finished {
      committed += collector.release(below: .max)
      writeDown()
      if newestCheckpoint == next { finished = true }
    }
    guard finished, disbandUntil == nil, !isDead else { return }
    world.log("the run is over, or was interrupted")
    disbandUntil = world.now + 10_000.milliseconds
    sendHome()
    world.schedule(.coordinatorTick, node: World.coordinatorNode, life: life, at: world.now)
  }

  private func sendHome() {
    for worker in membership.workers.values.sorted(by: { $0.identity.rank < $1.identity.rank }) {
      send(.dismiss(reason: "the run is over", clean: true), to: worker.identity)
    }
  }

  private func disbanding(_ event: World.Event) {
    switch event {
    case .childEnded(let rank, let pid): if fleet[rank] == pid { fleet[rank] = nil }
    case .coordinatorTick:
      sendHome()
      world.schedule(.coordinatorTick, node: World.coordinatorNode, life: life, at: world.now + 500.milliseconds)
    default: return
    }
    guard fleet.isEmpty || world.now >= disbandUntil ?? 0 else { return }
    for pid in fleet.values.sorted() { kill(pid) }
    durably { $0.everybodyLeft() }
    guard !isDead else { return }
    isDead = true
    if let down = interruptedFor, world.disk.newestCheckpoint != world.training.lastStep {
      world.startCoordinator(after: down)
    } else {
      isDone = true
    }
  }
}
