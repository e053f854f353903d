// A simulated world: processes, wires between them, time, and harm. One seed decides all of it.
import CoordinatorCore
import Ring
import Shared
import Wire
import WorkerCore

/// One simulation.
final class World {
  enum Event {
    // To a worker.
    indirect case fromCoordinator(CoordinatorMessage, Sender.Channel)
    case workerTick
    case beat
    case ringTimer
    /// A connection to a peer was closed by its end.
    case closed(pid: Int)
    case askedToLeave(again: Bool)
    case laneDone(LaneJob)
    case clipRead
    case probed(clip: Int?)
    indirect case evaluationDone(EvaluationTask, round: Int)
    /// It was started on a host that is down.
    case hostIsDown
    case ring(from: Int, generation: UInt32, [UInt8])
    case ringAnswer(generation: UInt32, [UInt8])
    /// A copy of the state can be fetched.
    case published(TrainingValue)
    // To either: pieces of blobs, which are whole here.
    indirect case ask(name: String, from: Int, channel: Int)
    indirect case piece(BlobPiece, from: Int, TrainingValue?)
    // To the coordinator.
    indirect case fromWorker(Sender, WorkerMessage)
    case wroteCheckpoint(step: UInt64, WriteOutcome)
    case readCheckpoint(step: UInt64)
    case markBest(step: UInt64)
    case coordinatorTick
    case childEnded(rank: Int, pid: Int)
    case interrupt
    // To nobody.
    case fault(Int)
    case startCoordinator
    case startWorker(rank: Int)
  }

  enum WriteOutcome {
    case written(TrainingValue)
    /// It is not the state that the journal has.
    case refused
    case diskFull
  }

  struct Envelope {
    var node: Int
    /// The life of the coordinator that it is for; 0 for any.
    var life = 0
    var event: Event
  }

  struct DeadConnection: Hashable {
    var pid: Int
    var channel: Sender.Channel
  }

  /// The data of a rank is gone, or nobody's is there; reads of it fail, or do not return.
  struct Blindness {
    var rank: Int?
    var blocks: Bool
    var since: Nanoseconds
    var until: Nanoseconds
  }

  /// A rank's host is down.
  struct Outage {
    var rank: Int
    var until: Nanoseconds
  }

  struct Cut {
    var ranks: (Int, Int)
    var oneWay: Bool
    var until: Nanoseconds
  }

  static let coordinatorNode = -1
  static let nobody = -2
  static let run = "simulated"
  static let coordinatorHost = "here"
  /// What stands for an index.
  static let index = TrainingValue(value: 0)
  static let base = ContinuousClock.now

  let seed: UInt64
  let training: Training
  let scenario: Scenario
  let reference: Reference
  var random: SplitMix64
  var disk = SimulatedDisk()
  private(set) var now: Nanoseconds = 0
  var queue = EventQueue<Envelope>()
  private(set) var workers: [SimulatedWorker] = []
  var pids: [WorkerIdentity: Int] = [:]
  private(set) var coordinator: SimulatedCoordinator?
  var coordinatorLives = 0
  var coordinatorPausedUntil: Nanoseconds = 0
  /// What waits for a coordinator that is not there.
  var mailbox: [Envelope] = []
  var cuts: [Cut] = []
  /// Connections between a worker and the coordinator that carry nothing any more, without a word.
  var deadConnections: Set<DeadConnection> = []
  var blindness: [Blindness] = []
  var outages: [Outage] = []
  var diskFullUntil: Nanoseconds = 0
  /// Whether a lane whose clips take long was begun.
  var hasSlowLane = false
  var lastArrival: [Int: Nanoseconds] = [:]
  var armed: [Int: Int] = [:]
  var extraRanks = 0
  /// Memory errs at most once in a step: at the second time the coordinator ends the run.
  var flippedSteps: Set<UInt64> = []
  var isOver = false
  /// Members of this generation and older ones may hold what was rolled back and settled anew.
  var comparedAfter: UInt32 = 0
  /// When the last fault had its last direct effect.
  var quietSince: Nanoseconds = 0
  private(set) var violation: String?
  private(set) var eventCount = 0
  var statistics = Statistics()
  private(set) var trace: [String]?
  /// What comes to the coordinator, and goes out; counted in big clusters.
  var traffic: Traffic?
  private let digest = Digest128Stream()

  struct Statistics {
    var faults = 0
    var generations = 0
    var rolledBack = 0
    var coordinatorRestarts = 0
    var workersStarted = 0
    var exclusions = 0
    var reusedLanes = 0
    var rolledForward = 0
    var adopted = 0
    var corruptions = 0
    var reconnections = 0
    var pauses = 0
    var refusedCheckpoints = 0
    var failedCheckpoints = 0
    var exhausted = 0
    var evaluations = 0
    /// Tasks of states that the run had passed, and states that were lost before they were evaluated.
    var passedStates = 0
    var leftOut = 0
    var ends: Nanoseconds = 0
    var recovery: Nanoseconds = 0

    /// What some thousand seeds should see, and did not.
    var neverHappened: [String] {
      [
        ("faults", faults), ("states rolled back", rolledBack), ("restarts of the coordinator", coordinatorRestarts),
        ("exclusions", exclusions), ("lanes used again", reusedLanes), ("steps rolled forward", rolledForward),
        ("workers adopted", adopted), ("corruptions", corruptions), ("reconnections", reconnections),
        ("pauses", pauses), ("failed checkpoints", failedCheckpoints), ("evaluations", evaluations),
        ("evaluations of passed states", passedStates),
      ].filter { $0.1 == 0 }.map(\.0)
    }

    static func += (sum: inout Statistics, other: Statistics) {
      sum.faults += other.faults
      sum.generations += other.generations
      sum.rolledBack += other.rolledBack
      sum.coordinatorRestarts += other.coordinatorRestarts
      sum.workersStarted += other.workersStarted
      sum.exclusions += other.exclusions
      sum.reusedLanes += other.reusedLanes
      sum.rolledForward += other.rolledForward
      sum.adopted += other.adopted
      sum.corruptions += other.corruptions
      sum.reconnections += other.reconnections
      sum.pauses += other.pauses
      sum.refusedCheckpoints += other.refusedCheckpoints
      sum.failedCheckpoints += other.failedCheckpoints
      sum.exhausted += other.exhausted
      sum.evaluations += other.evaluations
      sum.passedStates += other.passedStates
      sum.leftOut += other.leftOut
      sum.ends = max(sum.ends, other.ends)
      sum.recovery = max(sum.recovery, other.recovery)
    }
  }

  /// - Parameter members: of a big cluster, whose messages are counted; nil for one of a few.
  init(seed: UInt64, members: Int? = nil, traced: Bool = false) {
    self.seed = seed
    random = SplitMix64(seed)
    training = Training(&random, members: members)
    scenario = Scenario(&random, training, members: members)
    traffic = members.map { _ in Traffic() }
    reference = Reference(training)
    trace = traced ? [] : nil
  }

  /// Of everything that happened, where it was traced.
  var traceDigest: Digest128 { digest.finish() }

  /// How long after its last fault a run may take.
  static let bound = 150_000.milliseconds

  /// Far more than any run needs: what goes round in circles takes no time.
  private var eventLimit: Int { max(1_000_000, 1_000 * scenario.ranks * scenario.ranks) }

  /// Lets the world run until the training is done, or something is wrong.
  func simulate() {
    for (number, fault) in scenario.faults.enumerated() {
      switch fault.trigger {
      case .time(let time): queue.add(Envelope(node: Self.nobody, event: .fault(number)), at: time)
      case .moment(_, let count): armed[number] = count
      }
    }
    startCoordinator()
    if scenario.launch == .none {
      for rank in 0..<scenario.ranks {
        let start = rank == scenario.lateRank ? random.between(2000, 9000) : random.between(0, 500)
        queue.add(Envelope(node: Self.nobody, event: .startWorker(rank: rank)), at: start.milliseconds)
      }
    }
    while violation == nil, !isOver {
      guard let (time, order, envelope) = queue.next() else { return violate("I7: nothing is left to happen") }
      now = time
      if now > Scenario.horizon { armed = [:] }
      if now > max(quietSince, Scenario.horizon) + Self.bound {
        return violate("I7: not done \(Self.bound / 1_000_000_000) s after the last fault")
      }
      eventCount += 1
      if eventCount > eventLimit { return violate("I7: \(eventLimit) events, and no end") }
      note(envelope, order)
      dispatch(envelope, order)
      buryCoordinator()
    }
    statistics.ends = now
    statistics.recovery = max(0, now - quietSince)
  }

  func log(_ text: @autoclosure () -> String) {
    guard trace != nil else { return }
    let micros = now / 1000
    let line = "\(micros / 1_000_000).\(String(String(micros % 1_000_000 + 1_000_000).dropFirst())) \(text())"
    Array(line.utf8).withUnsafeBytes { digest.update($0) }
    trace?.append(line)
  }

  /// Events are too many to be written down.
  private func note(_ envelope: Envelope, _ order: UInt64) {
    guard trace != nil else { return }
    [UInt64(bitPattern: now), order, UInt64(bitPattern: Int64(envelope.node))].withUnsafeBytes { digest.update($0) }
  }

  func violate(_ text: String) {
    if violation == nil { violation = text }
    log("VIOLATION \(text)")
  }

  /// The states of all machines, as tables.
  var table: String {
    let coordinator = coordinator.map { "\($0.machine)" } ?? "there is no coordinator"
    return ([coordinator] + workers.filter(\.isAlive).map(\.table)).joined(separator: "\n\n")
  }

  func count(_ change: (inout Statistics) -> Void) { change(&statistics) }

  // MARK: Events

  private func dispatch(_ envelope: Envelope, _ order: UInt64) {
    switch envelope.node {
    case Self.coordinatorNode:
      guard let coordinator, !coordinator.isDead else {
        if envelope.life == 0, scenario.queuesForCoordinator { mailbox.append(envelope) }
        return
      }
      guard envelope.life == 0 || envelope.life == coordinatorLives else { return }
      if coordinatorPausedUntil > now {
        return putBack(envelope, order, until: coordinatorPausedUntil)
      }
      coordinator.take(envelope.event)
    case Self.nobody: happen(envelope.event)
    default:
      let worker = workers[envelope.node]
      guard worker.isAlive else { return }
      if worker.pausedUntil > now { return putBack(envelope, order, until: worker.pausedUntil) }
      if worker.isHung {
        if case .beat = envelope.event { worker.take(envelope.event) }
        return
      }
      worker.take(envelope.event)
      if let leaving = worker.leaving { end(worker, "left: \(leaving.reason)") }
    }
  }

  /// Whoever stands still finds everything at once when it goes on; ticks after the messages, as its loop does.
  private func putBack(_ envelope: Envelope, _ order: UInt64, until time: Nanoseconds) {
    if case .coordinatorTick = envelope.event {
      queue.add(envelope, at: time, last: true)
    } else {
      queue.add(envelope, at: time, order: order)
    }
  }

  private func happen(_ event: Event) {
    switch event {
    case .fault(let number): strike(scenario.faults[number], subject: nil)
    case .startCoordinator: startCoordinator()
    case .startWorker(let rank):
      if !isOver, !workers.contains(where: { $0.isAlive && $0.identity.rank == rank }) { _ = startWorker(rank) }
    default: preconditionFailure("an event for nobody")
    }
  }

  func schedule(_ event: Event, node: Int, life: Int = 0, at time: Nanoseconds) {
    queue.add(Envelope(node: node, life: life, event: event), at: time)
  }

  func instant(_ time: Nanoseconds) -> ContinuousClock.Instant { Self.base + .nanoseconds(time) }

  func nanoseconds(_ instant: ContinuousClock.Instant) -> Nanoseconds {
    let parts = Self.base.duration(to: instant).components
    return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
  }

  // MARK: Processes

  private func startCoordinator() {
    guard !isOver, coordinator == nil else { return }
    coordinatorLives += 1
    if coordinatorLives > 1 { statistics.coordinatorRestarts += 1 }
    coordinatorPausedUntil = 0
    log("coordinator starts, life \(coordinatorLives)")
    do {
      let started = try SimulatedCoordinator(self, life: coordinatorLives)
      coordinator = started
      started.lead()
    } catch { violate("\(error)") }
    for envelope in mailbox { queue.add(envelope, at: now + Nanoseconds(random.below(2_000_000))) }
    mailbox = []
  }

  private func buryCoordinator() {
    guard let ended = coordinator, ended.isDead else { return }
    coordinator = nil
    if ended.isDone { finish() }
  }

  func startWorker(_ rank: Int) -> SimulatedWorker {
    let pid = workers.count
    let identity = WorkerIdentity(rank: rank, incarnation: UInt64(1000 + pid))
    let worker = SimulatedWorker(self, pid: pid, identity: identity)
    workers.append(worker)
    pids[identity] = pid
    statistics.workersStarted += 1
    log("worker \(rank) starts, process \(pid)")
    if outages.contains(where: { $0.rank == rank && $0.until > now }) {
      schedule(.hostIsDown, node: pid, at: now + random.between(5, 40).milliseconds)
      return worker
    }
    schedule(.workerTick, node: pid, at: now + random.between(5, 60).milliseconds)
    schedule(.beat, node: pid, at: now + random.between(5, 60).milliseconds)
    return worker
  }

  /// A worker's process ends.
  func end(_ worker: SimulatedWorker, _ why: String) {
    guard worker.isAlive else { return }
    worker.isAlive = false
    log("worker \(worker.identity.rank), process \(worker.pid), ends: \(why)")
    let rank = worker.identity.rank
    for peer in workers where peer.isAlive && peer.isConnected(to: worker.pid) && cutUntil(worker.pid, peer.pid) == nil
    {
      schedule(.closed(pid: worker.pid), node: peer.pid, at: now + Nanoseconds(random.below(5_000_000)))
    }
    if let coordinator, coordinator.watches(worker.pid) {
      schedule(
        .childEnded(rank: rank, pid: worker.pid), node: Self.coordinatorNode, life: coordinatorLives,
        at: now + Nanoseconds(random.between(100_000, 20_000_000)))
    }
    if scenario.launch == .none || rank >= scenario.ranks {
      schedule(.startWorker(rank: rank), node: Self.nobody, at: now + random.between(200, 3000).milliseconds)
    }
  }

  func startCoordinator(after down: Nanoseconds) {
    schedule(.startCoordinator, node: Self.nobody, at: now + down)
    quietSince = max(quietSince, now + down)
  }

  func crashCoordinator(_ down: Nanoseconds) {
    guard let coordinator, !coordinator.isDead else { return }
    log("the coordinator is killed")
    coordinator.isDead = true
    startCoordinator(after: down)
  }
}
